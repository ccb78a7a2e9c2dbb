"""A check as a test of pytest."""

import dataclasses
import functools
from collections.abc import Callable, Collection, Hashable
from typing import Any

from tfk_patterns import _keras
from tfk_patterns.parity.check import Check, Verdicts
from tfk_patterns.parity.outcome import Skip
from tfk_patterns.parity.report import ParityError, Report
from tfk_patterns.parity.result import Result


@dataclasses.dataclass(eq=False)
class SelectedCheck:
    """One check among those that were selected, as a test calls it.

    Args:
        name: Name of the check.
        selected: All checks that are run on the case.
        subject_of: Makes the subject of a case.
        result: What the last call found.
        circumstances: What the result depends on beside the case, such as other parameters of the
            test: checks share their observations where it is the same.
    """

    name: str
    selected: tuple[Check, ...] = dataclasses.field(repr=False)
    subject_of: Callable[[Any], Any] = dataclasses.field(repr=False)
    result: Result | None = dataclasses.field(default=None, init=False, repr=False)
    circumstances: Hashable = dataclasses.field(default=None, init=False, repr=False)

    @property
    def is_fast(self) -> bool:
        """Whether it is one of the `"fast"` checks."""
        return any(check.fast for check in self.selected if check.name == self.name)

    def keep_only(self, names: Collection[str]) -> None:
        """Leaves out checks that are not run, so that nothing is said to follow from them."""
        self.selected = tuple(check for check in self.selected if check.name in names)

    def __call__(self, case: Any) -> None:
        """Runs the check on a case.

        Raises:
            ParityError: The case fails the check, or passes it against expectation.
            Skip: The check cannot apply.
        """
        __tracebackhide__ = True  # pytest then shows the report, not this
        with _keras.without_global_seed():
            shared = _recent_verdicts(case, self.selected, self.subject_of, self.circumstances)
            result = shared[self.name]
        self.result = result
        if result.verdict == "skipped":
            raise Skip(result.reason)
        if result.verdict == "xfail":
            import pytest

            pytest.xfail(result.reason)
        report = Report(case.name, (result,))
        if not report.passed:
            raise ParityError(report)


@functools.lru_cache(maxsize=4)
def _recent_verdicts(case, selected, subject_of, circumstances) -> Verdicts:
    """The verdicts on a case, so that tests that run one check each share its observations."""
    return Verdicts(subject_of(case), selected)
