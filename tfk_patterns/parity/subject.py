"""One case while it is checked: its observations and their comparison."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity import comparison, fitting, modes, observation
from tfk_patterns.parity.case import LayerCase
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.reference import Reference, equal_circumstances, in_one_line

_IN_GRAPH = (
    "`call` must be traceable: tf ops on tensors, no `.numpy()`, no Python `if` or `for` on a "
    "tensor's value (tf.cond and tf.while_loop serve)."
)


@dataclasses.dataclass
class Tally:
    """What one check has compared so far."""

    max_abs_error: float | None = None
    max_rel_error: float | None = None
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)
    compared: int = 0

    def add(self, found: comparison.Difference) -> None:
        self.compared += 1
        self.max_abs_error = max(self.max_abs_error or 0.0, found.max_abs_error)
        self.max_rel_error = max(self.max_rel_error or 0.0, found.max_rel_error)


@dataclasses.dataclass(frozen=True)
class Pair:
    """The same thing seen in eager mode and in another one."""

    label: str
    eager: Any
    other: Any


class Subject:
    """What a check is called with.

    Observations are made when a check first asks for them and are shared by all checks.

    Args:
        case: The case to check.

    Raises:
        TypeError: `case.make` returns something that is no layer of this Keras generation.
    """

    def __init__(self, case: LayerCase):
        self.case = case
        self.tally = Tally()
        self.results: dict[str, Any] = {}
        self.reference = Reference(case)
        self._cache: dict[tuple, Any] = {}

    def pairs(self) -> Iterator[Pair]:
        """Pairs of `Observation`: eager with graph and XLA, in inference and training.

        Raises:
            Failure: The layer cannot be called in a mode.
            Skip: No mode could be compared with eager mode in inference, or none in training.
        """
        for training in (False, True):
            compared = False
            # Eager mode first: what fails there is not the graph's fault.
            eager = self._observe("eager", training)
            draws = self._observe("graph", training).random_ops
            for mode in ("graph", "xla"):
                reason = draws.why_not(mode) or self._why_not_run(
                    observation.observe, mode, training
                )
                if reason:
                    self.tally.left_out[f"{mode}, training={training}"] = reason
                    continue
                compared = True
                yield Pair(f"{mode}, training={training}", eager, self._observe(mode, training))
            self._require(compared, training)

    def fit_pairs(self) -> Iterator[Pair]:
        """Pairs of `FitObservation`: eager with graph and XLA.

        Where draws differ by mode, the layer is called with `training=False` inside `fit`.

        Raises:
            Failure: The layer cannot be trained in a mode.
            Skip: In no mode could it be trained with `training=True`.
        """
        compared = False
        for mode in ("graph", "xla"):
            for training in (True, False):
                label = f"fit, {mode}" + ("" if training else ", layer called as in inference")
                self._observe("eager", training)
                draws = self._observe("graph", training).random_ops
                reason = draws.why_not(mode) or self._why_not_run(fitting.fit, mode, training)
                if not reason:
                    compared |= training
                    yield Pair(label, self._fit("eager", training), self._fit(mode, training))
                    break
                self.tally.left_out[label] = reason
        self._require(compared, training=True)

    def compare(self, expected: Any, actual: Any, where: str, what: str, hint: str) -> None:
        """Compares two structures of arrays, leaf by leaf.

        Args:
            expected: What eager mode gave.
            actual: What the other mode gave.
            where: The mode and the call.
            what: What is compared, the start of each leaf's name.
            hint: For the `Failure`: likely cause and what to change.

        Raises:
            Failure: They differ in structure, shape, dtype or by more than the tolerance.
        """
        expected_leaves = dict(comparison.named_leaves(expected, what))
        actual_leaves = dict(comparison.named_leaves(actual, what))
        if expected_leaves.keys() != actual_leaves.keys():
            raise Failure(
                f"eager mode gives {_count(expected_leaves)}, {where} gives "
                f"{_count(actual_leaves)}",
                where=f"{where}: {what}",
                hint=hint,
            )
        for name, wanted in expected_leaves.items():
            if wanted is None and actual_leaves[name] is None:
                continue
            found = self._difference(wanted, actual_leaves[name])
            self.tally.add(found)
            if found.description:
                raise Failure(
                    f"{name} {found.description}",
                    where=f"{where}: {name}",
                    hint=hint,
                    max_abs_error=found.max_abs_error,
                    max_rel_error=found.max_rel_error,
                )

    def compare_calls(self, key: str, hint: str) -> None:
        """Compares one entry of every observed call, in every pair of modes.

        Args:
            key: The entry of `Observation.calls`.
            hint: For the `Failure`: likely cause and what to change.
        """
        for pair in self.pairs():
            for number, (expected, actual) in enumerate(
                zip(pair.eager.calls, pair.other.calls, strict=True), start=1
            ):
                where = f"{pair.label}, call {number}"
                self.compare(expected[key], actual[key], where, key, hint)

    def skip_if_nothing(self, reason: str) -> None:
        """Ends a check that has found nothing to compare, with the reason."""
        if not self.tally.compared:
            raise Skip(reason)

    def _difference(self, expected, actual) -> comparison.Difference:
        if expected is None or actual is None:
            text = "exists, but not" if expected is None else "is missing, but not"
            text = f"{text} in eager mode"
            return comparison.Difference(text, np.inf, np.inf)
        dtype = comparison.coarser(str(expected.dtype), self.compute_dtype)
        if str(expected.dtype) not in comparison.TOLERANCES:
            dtype = str(expected.dtype)
        rtol, atol = comparison.tolerance_for(dtype, self.case.tolerance)
        return comparison.difference(expected, actual, rtol, atol)

    @functools.cached_property
    def compute_dtype(self) -> str:
        """The dtype that the layer computes in."""
        return tf.as_dtype(self.reference.layer.compute_dtype or "float32").name

    def _why_not_run(self, function: Callable, mode: str, training: bool) -> str | None:
        """Why a function cannot run in a mode, where that is not the layer's fault."""
        if mode != "xla":
            return None
        if not _keras.supports_jit(self.reference.layer):
            return "the layer says `supports_jit = False`"
        try:
            self._run(function, mode, training)
        except modes.CannotCompile as error:
            return str(error)
        return None

    def _observe(self, mode: str, training: bool) -> observation.Observation:
        return self._run(observation.observe, mode, training)

    def _fit(self, mode: str, training: bool) -> fitting.FitObservation:
        return self._run(fitting.fit, mode, training)

    def _run(self, function: Callable, mode: str, training: bool):
        """Runs once, in equal circumstances; an error is kept like a result."""
        key = (function.__name__, mode, training)
        if key not in self._cache:
            try:
                layer = self.reference.make()
                with equal_circumstances():
                    self._cache[key] = function(
                        layer, self.reference.data, self.case.fixed_kwargs, mode, training
                    )
            except Exception as error:
                self._cache[key] = _as_finding(error, mode, f"training={training}")
        if isinstance(self._cache[key], Exception):
            raise self._cache[key]
        return self._cache[key]

    def _require(self, compared: bool, training: bool) -> None:
        """Ends a check that has compared no mode with eager mode, so that it does not pass."""
        if not compared:
            reasons = "; ".join(dict.fromkeys(self.tally.left_out.values()))
            raise Skip(f"nothing compared with training={training}: {reasons}")


def _as_finding(error: Exception, mode: str, where: str) -> Exception:
    if isinstance(error, Failure):
        return error
    if isinstance(error, LookupError) and "gradient registry has no entry" in str(error):
        operation = str(error).split()[-1]
        return Skip(f"TensorFlow defines no gradient of {operation}, which the layer uses")
    reason = modes.why_not_compiled(error) if mode == "xla" else None
    if reason:
        return modes.CannotCompile(reason)
    hint = "" if mode == "eager" else _IN_GRAPH
    failure = Failure(f"{mode} mode raised {in_one_line(error)}", f"{mode}, {where}", hint)
    failure.__cause__ = error
    return failure


def _count(leaves: dict) -> str:
    return ", ".join(leaves) or "none"
