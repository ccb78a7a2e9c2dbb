"""What a check is, and how its verdict is found."""

import dataclasses
import functools
from collections.abc import Callable, Container

from tfk_patterns.parity.case import LayerCase
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.report import ParityError, Report, Result
from tfk_patterns.parity.subject import Subject, Tally


@dataclasses.dataclass(frozen=True)
class Check:
    """One property of a layer, tested by a plain function.

    Args:
        function: Takes a `Subject`; returns nothing, or raises `Failure` or `Skip`.
        follows: Checks whose failure makes this one fail too, so that its own failure says
            nothing new: it then reads `skipped: follows from ...`.
        link: Where the subject of the check is explained.
    """

    function: Callable[[Subject], None]
    follows: tuple["Check", ...] = ()
    link: str = ""

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.function.__name__

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().splitlines()[0]

    def __call__(self, case: LayerCase) -> None:
        """Runs the check on a case, as a test.

        Raises:
            ParityError: The case fails the check, or passes it against expectation.
            Skip: The check cannot apply.
        """
        result = self.result(_recent_subject(case))
        if result.verdict == "skipped":
            raise Skip(result.reason)
        if result.verdict == "xfail":
            import pytest

            pytest.xfail(result.reason)
        report = Report(case.name, (result,))
        if not report.passed:
            raise ParityError(report)

    def result(self, subject: Subject) -> Result:
        """The verdict on a subject; found once, with those it follows from found first."""
        if self not in subject.results:
            roots = [check for check in self.follows if check.result(subject).found_wrong]
            subject.results[self] = self._find(subject, roots)
        return subject.results[self]

    def among(self, names: Container[str]) -> "Check":
        """The check as it is where only some checks run: what is not looked for excuses nothing."""
        follows = tuple(check.among(names) for check in self.follows if check.name in names)
        return dataclasses.replace(self, follows=follows)

    def _find(self, subject: Subject, roots: list["Check"]) -> Result:
        expected = subject.case.expected_failures.get(self.name)
        tally = subject.tally = Tally()
        try:
            self.function(subject)
        except Skip as skip:
            return Result(self.name, "skipped", skip.reason)
        except Failure as failure:
            if expected is not None:
                return Result(self.name, "xfail", expected, failure=failure, link=self.link)
            if roots:
                return Result(self.name, "skipped", f"follows from {roots[0].name}")
            return Result(self.name, "failed", failure=failure, link=self.link)
        errors = {"max_abs_error": tally.max_abs_error, "max_rel_error": tally.max_rel_error}
        if expected is not None:
            return Result(self.name, "xpass", f"was expected to fail: {expected}", **errors)
        return Result(self.name, "passed", _left_out(tally), **errors)


def layer_check(follows: tuple[Check, ...] = (), link: str = "") -> Callable[[Callable], Check]:
    """Decorator that makes a `Check` of a function."""
    return lambda function: Check(function, follows, link)


def _left_out(tally: Tally) -> str:
    """What a passed check could not compare, and why, each reason once."""
    labels: dict[str, list[str]] = {}
    for label, reason in tally.left_out.items():
        labels.setdefault(reason, []).append(label)
    return "\n".join(f"{reason}: not compared in {'; '.join(labels[reason])}" for reason in labels)


@functools.lru_cache(maxsize=4)
def _recent_subject(case: LayerCase) -> Subject:
    """The subject of a case, so that tests that run one check each share its observations."""
    return Subject(case)
