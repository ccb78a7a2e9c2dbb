"""The verdict of one check."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from tfk_patterns.parity.outcome import Failure


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
        if self.verdict == "xpass":
            return f"passes, though it was expected to fail: {self.reason}"
        return self.failure.message if self.failure else self.reason

    @property
    def where(self) -> str:
        """Mode, call and tensor of a failure, or an empty string."""
        return self.failure.where if self.failure else ""

    @property
    def hint(self) -> str:
        """Likely cause of a failure and what to change, or an empty string."""
        if self.verdict == "xpass":
            return "Nothing is wrong here any more: take it out of `expected_failures`."
        return self.failure.hint if self.failure else ""

    @property
    def is_failure(self) -> bool:
        """Whether it makes a report fail."""
        return self.verdict in ("failed", "xpass")

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

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Result":
        """The result that `to_dict` has made plain values of."""
        same = ("check", "layer", "verdict", "reason", "link", "max_abs_error", "max_rel_error")
        errors = {name: data[name] for name in ("max_abs_error", "max_rel_error")}
        failure = Failure(data["message"], data["where"], data["hint"], **errors)
        return cls(**{key: data[key] for key in same}, failure=failure if data["message"] else None)


def _finite(value: float | None) -> float | None:
    """JSON has no infinity, which is the error of a wrong shape."""
    return float(value) if value is not None and math.isfinite(value) else None
