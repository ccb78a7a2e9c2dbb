"""What the checks found, for people and for programs."""

import dataclasses
import math
from typing import Any

from tfk_patterns import _render
from tfk_patterns.parity.outcome import Failure

_STYLES = {
    "passed": "green",
    "failed": "bold red",
    "skipped": "yellow",
    "xfail": "yellow",
    "xpass": "bold red",
}


@dataclasses.dataclass(frozen=True)
class Result:
    """The verdict of one check.

    Args:
        check: Name of the check.
        verdict: `passed`, `failed`, `skipped`, `xfail` (failed, as expected) or `xpass` (passed,
            though expected to fail).
        reason: Why it was skipped or expected to fail; for a pass, what could not be compared.
        max_abs_error: Largest absolute difference among what was compared.
        max_rel_error: That difference relative to the largest expected magnitude.
        failure: What was wrong, where something was.
        link: Where the subject of the check is explained.
        layer: The layer that was checked, where the report is of a model that holds it.
        folded: What was wrong, where that only follows from another check's failure.
    """

    check: str
    verdict: str
    reason: str = ""
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    failure: Failure | None = None
    link: str = ""
    layer: str = ""
    folded: Failure | None = None

    def __post_init__(self):
        if self.failure is not None:
            object.__setattr__(self, "max_abs_error", self.failure.max_abs_error)
            object.__setattr__(self, "max_rel_error", self.failure.max_rel_error)

    @property
    def label(self) -> str:
        """The check, and the layer where there is one."""
        return f"{self.layer}: {self.check}" if self.layer else self.check

    @property
    def message(self) -> str:
        """What differs from what, or an empty string."""
        return self.failure.message if self.failure else self.reason

    @property
    def where(self) -> str:
        """Mode, call and tensor of a failure, or an empty string."""
        return self.failure.where if self.failure else ""

    @property
    def hint(self) -> str:
        """Likely cause of a failure and what to change, or an empty string."""
        return self.failure.hint if self.failure else ""

    @property
    def found_wrong(self) -> bool:
        """Whether the check found something wrong, expected or itself a consequence."""
        return self.verdict in ("failed", "xfail") or bool(self.follows_from)

    @property
    def follows_from(self) -> str:
        """The check whose failure makes this one fail too, or an empty string."""
        start = "follows from "
        return self.reason.removeprefix(start) if self.reason.startswith(start) else ""

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        return {
            "check": self.check,
            "layer": self.layer,
            "verdict": self.verdict,
            "reason": self.reason,
            "message": self.failure.message if self.failure else "",
            "where": self.where,
            "hint": self.hint,
            "link": self.link,
            "max_abs_error": _finite(self.max_abs_error),
            "max_rel_error": _finite(self.max_rel_error),
        }


@dataclasses.dataclass(frozen=True)
class Report:
    """The verdicts of all checks on one case; prints as a table, and is true where it passed.

    Each result has a `verdict`: `passed`; `failed`; `skipped` (the check does not apply, or what it
    is about could not be compared; `reason` says why); `xfail` (failed, as the case expects) or
    `xpass` (passed, though expected to fail, which counts as a failure). A `passed` result with a
    `reason` names what was left out. The numbers are the largest differences from eager mode.

    Args:
        case: Name of the case.
        results: One `Result` a check.
    """

    case: str
    results: tuple[Result, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed, and none passed against expectation."""
        return not self.failures

    @property
    def failures(self) -> tuple[Result, ...]:
        """The results that make the report fail."""
        return tuple(r for r in self.results if r.verdict in ("failed", "xpass"))

    def __bool__(self) -> bool:
        return self.passed

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "case": self.case,
            "passed": self.passed,
            "results": [result.to_dict() for result in self.results],
        }

    def __str__(self) -> str:
        return _render.to_text(self)

    def _repr_html_(self) -> str:
        return _render.to_html(self)

    def __rich__(self):
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(title=f"{self.case}: {self._verdict()}", title_justify="left")
        table.add_column("check", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        table.add_column("abs error", justify="right", no_wrap=True)
        table.add_column("rel error", justify="right", no_wrap=True)
        table.add_column("why", overflow="fold")
        for result in self.results:
            table.add_row(
                result.label,
                Text(result.verdict, _STYLES[result.verdict]),
                _number(result.max_abs_error),
                _number(result.max_rel_error),
                Text(result.reason if result.verdict != "failed" else "see below"),
            )
        return Group(table, *(_explained(result) for result in self.failures))

    def _verdict(self) -> str:
        counts: dict[str, int] = {}
        for result in self.results:
            counts[result.verdict] = counts.get(result.verdict, 0) + 1
        return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


class ParityError(AssertionError):
    """A layer failed its checks; the message is the report.

    Args:
        report: The report, kept as `.report`.
    """

    def __init__(self, report: Report):
        super().__init__(f"\n{report}")
        self.report = report


def _explained(result: Result):
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(overflow="fold")
    for label, value in (("where", result.where), ("fix", result.hint), ("more", result.link)):
        if value:
            rows.add_row(f"  {label}", Text(value))
    return Group(Text(f"\n{result.label}: {result.message}", "bold red"), rows)


def _finite(value: float | None) -> float | None:
    """JSON has no infinity, which is the error of a wrong shape."""
    return value if value is not None and math.isfinite(value) else None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}" if value else "0"
