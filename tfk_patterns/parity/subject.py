"""One case while it is checked: its reference state, its observations, its comparisons."""

import contextlib
import dataclasses
import functools
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity import comparison, fitting, modes, observation
from tfk_patterns.parity.case import LayerCase
from tfk_patterns.parity.outcome import Failure, Skip

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
        self._cache: dict[tuple, Any] = {}
        layer = self._make()
        _keras.check_generation_of(layer)
        if not isinstance(layer, keras.layers.Layer):
            raise TypeError(
                f"`make` must return a tf.keras layer. Received: {layer!r} "
                f"(of type {type(layer).__name__})"
            )

    def pairs(self) -> Iterator[Pair]:
        """Pairs of `Observation`: eager with graph and XLA, in inference and training.

        Raises:
            Failure: The layer cannot be called in a mode.
            Skip: There was nothing that could be compared.
        """
        compared = False
        for training in (False, True):
            eager = self._observe("eager", training)
            draws = self._observe("graph", training).random_ops
            for mode in ("graph", "xla"):
                label = f"{mode}, training={training}"
                reason = draws.why_not(mode) or self._why_not_xla(mode)
                if not reason:
                    try:
                        other = self._observe(mode, training)
                    except modes.CannotCompile as error:
                        reason = str(error)
                if reason:
                    self.tally.left_out[label] = reason
                else:
                    compared = True
                    yield Pair(label, eager, other)
        self._skip_unless(compared)

    def fit_pairs(self) -> Iterator[Pair]:
        """Pairs of `FitObservation`: eager with graph and XLA.

        Where draws differ by mode, the layer is called with `training=False` inside `fit`.
        """
        compared = False
        draws = self._observe("graph", True).random_ops
        for mode in ("graph", "xla"):
            training = not draws.why_not(mode)
            label = f"fit, {mode}" if training else f"fit, {mode}, layer called as in inference"
            reason = self._why_not_xla(mode)
            if not training:
                reason = reason or self._observe("graph", False).random_ops.why_not(mode)
                if not reason:
                    self.tally.left_out[f"fit, {mode}, training=True"] = draws.why_not(mode)
            if not reason:
                try:
                    pair = Pair(label, self._fit("eager", training), self._fit(mode, training))
                except modes.CannotCompile as error:
                    reason = str(error)
            if reason:
                self.tally.left_out[label] = reason
            else:
                compared = True
                yield pair
        self._skip_unless(compared)

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
        return tf.as_dtype(self._reference_layer.compute_dtype or "float32").name

    @functools.cached_property
    def _data(self) -> dict[str, Any]:
        return tf.nest.map_structure(
            lambda leaf: None if leaf is None else tf.convert_to_tensor(leaf),
            {
                "inputs": self.case.inputs,
                "mask": self.case.mask,
                "kwargs": self.case.batched_kwargs,
            },
        )

    @functools.cached_property
    def _reference_layer(self):
        return self._make_built()

    @functools.cached_property
    def _reference_state(self) -> list[np.ndarray]:
        return [
            np.asarray(tf.convert_to_tensor(variable))
            for variable in _keras.state_variables(self._reference_layer)
        ]

    def _make(self):
        with _equal_circumstances():
            return self.case.make()

    def _make_built(self):
        """A fresh layer, called once in eager mode so that all of it is built."""
        layer = self._make()
        with _equal_circumstances():
            observation.call_layer(layer, self._data, self.case.fixed_kwargs, training=False)
        return layer

    def _make_in_reference_state(self):
        reference = self._reference_state
        layer = self._make_built()
        variables = _keras.state_variables(layer)
        if [tuple(v.shape) for v in variables] != [value.shape for value in reference]:
            raise Failure(
                "`make` returns layers with other variables each time",
                hint="Return a fresh layer with the same arguments from each call of `make`.",
            )
        for variable, value in zip(variables, reference, strict=True):
            variable.assign(value)
        for metric in _keras.metrics_of(layer):
            metric.reset_state()
        return layer

    def _why_not_xla(self, mode: str) -> str | None:
        if mode == "xla" and not _keras.supports_jit(self._reference_layer):
            return "the layer says `supports_jit = False`"
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
                layer = self._make_in_reference_state_or_fail()
                with _equal_circumstances():
                    self._cache[key] = function(
                        layer, self._data, self.case.fixed_kwargs, mode, training
                    )
            except Exception as error:
                self._cache[key] = _as_finding(error, mode, f"training={training}")
        if isinstance(self._cache[key], Exception):
            raise self._cache[key]
        return self._cache[key]

    def _make_in_reference_state_or_fail(self):
        try:
            return self._make_in_reference_state()
        except Failure:
            raise
        except Exception as error:
            raise Failure(
                f"the layer cannot be built and called: {_in_one_line(error)}",
                where="eager, training=False",
                hint="Call it on the inputs of the case by hand to see the whole traceback.",
            ) from error

    def _skip_unless(self, compared: bool) -> None:
        if not compared:
            raise Skip("; ".join(dict.fromkeys(self.tally.left_out.values())))


@contextlib.contextmanager
def _equal_circumstances():
    """Python's and NumPy's generators start alike, warnings are silent; all is as it was after."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(0)
    np.random.seed(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def _as_finding(error: Exception, mode: str, where: str) -> Exception:
    if isinstance(error, Failure):
        return error
    reason = modes.why_not_compiled(error) if mode == "xla" else None
    if reason:
        return modes.CannotCompile(reason)
    hint = "" if mode == "eager" else _IN_GRAPH
    failure = Failure(f"{mode} mode raised {_in_one_line(error)}", f"{mode}, {where}", hint)
    failure.__cause__ = error
    return failure


def _in_one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines)[:300]}"


def _count(leaves: dict) -> str:
    return ", ".join(leaves) or "none"
