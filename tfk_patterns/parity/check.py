"""What a check is, and how its verdict is found."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tfk_patterns.parity.errors import failure_of
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.result import Result


@dataclasses.dataclass(frozen=True)
class Check:
    """One property of a layer or model, tested by a plain function.

    Args:
        function: Takes a `Subject` or `ModelSubject`; returns nothing, or raises `Failure` or
            `Skip`.
        follows: Names of checks whose failure makes this one fail too, so that its own failure
            says nothing new: it then reads `skipped: follows from ...`.
        link: Where the subject of the check is explained.
        fast: Whether it is one of the `"fast"` checks.
    """

    function: Callable[[Any], None]
    follows: tuple[str, ...] = ()
    link: str = ""
    fast: bool = False

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.function.__name__


def define_check(
    follows: tuple[str, ...] = (), link: str = "", fast: bool = False
) -> Callable[[Callable], Check]:
    """Decorator that makes a `Check` of a function."""
    return lambda function: Check(function, follows, link, fast)


@dataclasses.dataclass
class Tally:
    """What one check has compared so far."""

    max_abs_error: float | None = None
    max_rel_error: float | None = None
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)
    compared: int = 0

    def add(self, found) -> None:
        """Counts a `Difference`."""
        self.compared += 1
        self.max_abs_error = max(self.max_abs_error or 0.0, found.max_abs_error)
        self.max_rel_error = max(self.max_rel_error or 0.0, found.max_rel_error)

    def withdraw(self, before: "Tally") -> None:
        """Takes back what was counted since a copy was made, but not the reasons."""
        self.max_abs_error, self.max_rel_error = before.max_abs_error, before.max_rel_error
        self.compared = before.compared


class Verdicts(Mapping):
    """The results of some checks on one subject, by name; each is found when first asked for.

    What is not among these checks excuses nothing.
    """

    def __init__(self, subject: Any, checks: Iterable[Check]):
        self._subject = subject
        self._checks = {check.name: check for check in checks}
        self._results: dict[str, Result] = {}
        self._asked: set[str] = set()  # whose results are being found
        self._finders: dict[str, str] = {}  # of what is the matter of a check that is not run

    def __getitem__(self, name: str) -> Result:
        result = self._result(name)
        if result.folded and self._result(self._cause(name)).verdict not in ("failed", "xfail"):
            return Result(name, "failed", failure=result.folded, link=self._checks[name].link)
        return result

    def __iter__(self):
        return iter(self._checks)

    def __len__(self) -> int:
        return len(self._checks)

    def _result(self, name: str) -> Result:
        """The result as if every check that this one folds into fails."""
        if name not in self._results:
            self._asked.add(name)
            roots = [root for root in self._checks[name].follows if root in self._checks]
            wrong = [
                root
                for root in roots
                if root not in self._asked
                and self._result(root).found_wrong
                and self._cause(root) != name
            ]
            self._results[name] = self._find(self._checks[name], wrong)
            self._asked.remove(name)
        return self._results[name]

    def _cause(self, name: str) -> str:
        """The check that one follows from in the end: it has then come upon that one's matter."""
        seen: set[str] = set()
        while name not in seen and name not in self._asked and self._result(name).follows_from:
            seen.add(name)
            name = self._result(name).follows_from
        return name

    def _find(self, check: Check, wrong: list[str]) -> Result:
        tally = self._subject.tally = Tally()
        try:
            check.function(self._subject)
        except Skip as skip:
            return Result(check.name, "skipped", skip.reason)
        except Failure as failure:
            return self._failed(check, failure, wrong)
        except Exception as error:  # a report, never a crash
            failure = failure_of(error, "the check could not be carried out")
            return self._failed(check, failure, wrong)
        errors = {"max_abs_error": tally.max_abs_error, "max_rel_error": tally.max_rel_error}
        expected = self._subject.case.expected_failures.get(check.name)
        if expected is not None:
            return Result(check.name, "xpass", expected, **errors)
        return Result(check.name, "passed", _left_out(tally), **errors)

    def _failed(self, check: Check, failure: Failure, wrong: list[str]) -> Result:
        expected = self._subject.case.expected_failures.get(check.name)
        if expected is not None:
            return Result(check.name, "xfail", expected, failure=failure, link=check.link)
        matter = failure.check or check.name
        if matter not in self._checks:
            matter = self._finders.setdefault(matter, check.name)
        if matter != check.name:
            wrong = [*wrong, matter]
        if wrong:
            return Result(check.name, "skipped", f"follows from {wrong[0]}", folded=failure)
        return Result(check.name, "failed", failure=failure, link=check.link)


def _left_out(tally: Tally) -> str:
    """What a passed check could not compare, and why, each reason once."""
    labels: dict[str, list[str]] = {}
    for label, reason in tally.left_out.items():
        labels.setdefault(reason, []).append(label)
    return "\n".join(f"{reason} (not compared: {', '.join(labels[reason])})" for reason in labels)
