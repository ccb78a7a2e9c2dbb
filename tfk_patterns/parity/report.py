"""What the checks found, for people and for programs."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tfk_patterns import _render
from tfk_patterns.parity.result import Result

_STYLES = {
    "passed": "green",
    "failed": "bold red",
    "skipped": "yellow",
    "xfail": "yellow",
    "xpass": "bold red",
}
_NARROW = 72  # a table on fewer columns than these would be all folds


@dataclasses.dataclass(frozen=True)
class Report:
    """The verdicts of all checks on one case; failures first, and is true where it passed.

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
        return tuple(result for result in self.results if result.is_failure)

    def __bool__(self) -> bool:
        return self.passed

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "case": self.case,
            "passed": self.passed,
            "results": [result.to_dict() for result in self.results],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Report":
        """The report that `to_dict` has made plain values of."""
        return cls(data["case"], tuple(map(Result.from_dict, data["results"])))

    def __str__(self) -> str:
        return _render.to_text(self)

    def _repr_html_(self) -> str:
        return _render.to_html(self)

    @property
    def summary(self) -> str:
        """How many checks have which verdict, failures first."""
        counts = Counter(result.verdict for result in self.results)
        order = ("failed", "xpass", "passed", "skipped", "xfail")
        return ", ".join(f"{counts[verdict]} {verdict}" for verdict in order if counts[verdict])

    def __rich_console__(self, console, options) -> Iterator:
        from rich.text import Text

        yield Text(f"{self.case}: {self.summary}", "bold")
        yield Findings(self)


@dataclasses.dataclass(frozen=True)
class Findings:
    """What a report says below its title: what is wrong, then the verdicts of all other checks."""

    report: Report

    def __rich_console__(self, console, options) -> Iterator:
        from rich.text import Text

        yield from map(_explained, self.report.failures)
        others = [result for result in self.report.results if not result.is_failure]
        if others:
            yield Text("")
            yield _list(others) if options.max_width < _NARROW else _table(others)


class ParityError(AssertionError):
    """A layer failed its checks; the message is the report.

    Args:
        report: The report, kept as `.report`.
    """

    def __init__(self, report: Report):
        super().__init__(f"\n{report}")
        self.report = report


def _explained(result: Result):
    """What is wrong, where, what to change and where to read on."""
    from rich.console import Group
    from rich.style import Style
    from rich.table import Table
    from rich.text import Text

    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bright_black", no_wrap=True)
    rows.add_column(overflow="fold")
    link = Text().append(result.link, Style(link=result.link or None))
    for label, value in (("where", result.where), ("fix", result.hint), ("more", link)):
        if value:
            rows.add_row(f"  {label}", value if isinstance(value, Text) else Text(value))
    title = Text.assemble(("\n" + result.label, "bold red"), f": {result.message}")
    return Group(title, rows)


def _table(results: list[Result]):
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    for heading in ("check", "verdict"):
        table.add_column(heading, no_wrap=True)
    for heading in ("abs error", "rel error"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for result in results:
        table.add_row(
            result.label,
            Text(result.verdict, _STYLES[result.verdict]),
            _number(result.max_abs_error),
            _number(result.max_rel_error),
            Text(result.reason),
        )
    return table


def _list(results: list[Result]):
    """Without the numbers, for narrow screens; what merely passed is together in the end."""
    from rich.table import Table
    from rich.text import Text

    rows = Table.grid(padding=(0, 1))
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    for result in results:
        if result.reason:
            verdict = Text(result.verdict, _STYLES[result.verdict])
            rows.add_row(verdict, Text.assemble((result.label, "bold"), f": {result.reason}"))
    passed = [result.label for result in results if not result.reason]
    if passed:
        rows.add_row(Text("passed", _STYLES["passed"]), Text(", ".join(passed)))
    return rows


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}" if value else "0"
