"""What the subjects of all checks have in common: things found once, and comparison."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfk_patterns.parity import comparison
from tfk_patterns.parity.check import Tally
from tfk_patterns.parity.outcome import Failure, Skip


class BaseSubject:
    """One case while it is checked.

    Args:
        case: The case to check.
    """

    compute_dtype = "float32"

    def __init__(self, case: Any):
        self.case = case
        self.tally = Tally()
        self._shared: dict[Any, Any] = {}

    def shared(self, key: Any, function: Callable[[], Any]) -> Any:
        """What the function returns, or the error it raises, found once for all checks."""
        if key not in self._shared:
            try:
                self._shared[key] = function(), None
            except Exception as error:
                self._shared[key] = None, error
        result, error = self._shared[key]
        if error is not None:
            raise error
        return result

    def compare(
        self,
        expected: Any,
        actual: Any,
        where: str,
        what: str,
        hint: str = "",
        source: str = "eager mode",
        magnitude: float = 0.0,
    ) -> None:
        """Compares two structures of arrays, leaf by leaf.

        Args:
            expected: What `source` gave.
            actual: What should be the same.
            where: The mode and the call, or what else gave `actual`.
            what: What is compared, the start of each leaf's name.
            hint: For the `Failure`: likely cause and what to change.
            source: What gave `expected`, as in "... where eager mode gives 2".
            magnitude: The largest magnitude of what the leaves were computed with: a hundredth of
                it counts as theirs, since the rounding of sums that cancel does not shrink.

        Raises:
            Failure: They differ in structure, shape, dtype or by more than the tolerance.
        """
        expected_leaves = dict(comparison.named_leaves(expected, what))
        actual_leaves = dict(comparison.named_leaves(actual, what))
        if expected_leaves.keys() != actual_leaves.keys():
            raise Failure(
                f"{source} gives {_listed(expected_leaves)}, {where} gives "
                f"{_listed(actual_leaves)}",
                where=f"{where}: {what}",
                hint=hint,
            )
        for name, wanted in expected_leaves.items():
            if wanted is None and actual_leaves[name] is None:
                continue
            found = self.difference(wanted, actual_leaves[name], source, magnitude)
            self.tally.add(found)
            if found.description:
                raise Failure(
                    f"{name} {found.description}",
                    where=f"{where}: {name}",
                    hint=hint,
                    max_abs_error=found.max_abs_error,
                    max_rel_error=found.max_rel_error,
                )

    def difference(
        self, expected, actual, source: str = "eager mode", magnitude: float = 0.0
    ) -> comparison.Difference:
        """How two arrays, or `None`s, differ, by the tolerances of the case."""
        if expected is None or actual is None:
            text = f"exists, but {source} gives none" if expected is None else "is missing"
            return comparison.Difference(text, np.inf, np.inf)
        dtype = comparison.coarser(str(expected.dtype), self.compute_dtype)
        if str(expected.dtype) not in comparison.TOLERANCES:
            dtype = str(expected.dtype)
        rtol, atol = comparison.tolerance_for(dtype, self.case.tolerance)
        atol = max(atol, rtol * magnitude / 100)
        return comparison.difference(expected, actual, rtol, atol, source)

    def skip_if_nothing(self, reason: str) -> None:
        """Ends a check that has found nothing to compare, with the reason."""
        if not self.tally.compared:
            raise Skip(reason)


def _listed(leaves: dict) -> str:
    return ", ".join(leaves) or "none"
