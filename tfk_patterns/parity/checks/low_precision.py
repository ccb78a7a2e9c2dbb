"""Half precision, beside float32."""

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.comparison import Difference
from tfk_patterns.parity.errors import in_one_line
from tfk_patterns.parity.masks import masking
from tfk_patterns.parity.numbers import special_values, variants
from tfk_patterns.parity.outcome import Failure, Skip

# Policy to what its results may be off, relative to the largest value.
_TOLERANCES = {"mixed_float16": 2e-2, "mixed_bfloat16": 1e-1}
_OWN = "the case's own values"
_OVERFLOW_HINT = (
    "Float16 ends at 65504, and below 6e-8 is zero: 1e-9 or 1e-12 as an epsilon, -1e9 as a mask, "
    "squares and sums do not fit it. Compute such a part in float32 where `x.dtype.size < 4`, "
    "and cast the result to the input's dtype."
)
_ROUNDING_HINT = (
    "Sums over many elements, running means and differences of near values need float32: compute "
    "them in it where `x.dtype.size < 4`, and cast the result to the input's dtype."
)


@define_check(
    follows=("outputs", "dtype_policy", "finite_values", "python_state"),
    link="https://www.tensorflow.org/guide/mixed_precision",
)
def low_precision(subject):
    """Under mixed_float16 and mixed_bfloat16 the results are near float32's, and as finite.

    Near: on the case's own values. As finite: in float16 on larger ones and on zeros too. Both get
    the inputs and weights as half precision holds them.

    Bug: An epsilon of 1e-9 is 0 in float16, -1e9 is minus infinity, and a square of 300 overflows:
    a model that trains well in float32 gives NaN as soon as mixed precision is turned on, at first
    only for some samples (https://github.com/keras-team/keras/issues/22586).

    Broken::

        class Proportions(keras.layers.Layer):
            def call(self, inputs):
                total = tf.reduce_sum(tf.abs(inputs), axis=-1, keepdims=True)
                return inputs / (total + 1e-9)  # 0 / 0 in float16


        case = LayerCase(Proportions, steps)

    Mended::

        class Proportions(keras.layers.Layer):
            def call(self, inputs):
                total = tf.reduce_sum(tf.abs(inputs), axis=-1, keepdims=True)
                return inputs / (total + 1e-4)


        case = LayerCase(Proportions, steps)
    """
    made = variants.as_made(subject)
    if subject.compute_dtype != "float32":
        raise Skip(f"the layer computes in {subject.compute_dtype}, not float32")
    made = variants.with_data(made, masking.nowhere_fully(subject.data))
    for policy, tolerance in _TOLERANCES.items():
        try:
            variant = variants.under_policy(subject, policy)
        except Skip as skip:
            subject.tally.left_out[policy] = skip.reason
            continue
        variant = variants.with_data(variant, masking.nowhere_fully(variant.data))
        for training in variants.trainings(subject):
            for kind, values in _values(made, policy).items():
                _compare(made, variant, training, kind, _rounded(values, variant), tolerance)
    reasons = dict.fromkeys(subject.tally.left_out.values())
    subject.skip_if_nothing("; ".join(reasons) or "no output is a float")


def _values(made: variants.Variant, policy: str) -> dict[str, dict[str, Any]]:
    kinds = {_OWN: {}}
    if policy == "mixed_float16":
        kinds["values up to 32"] = special_values.scaled(made.inputs, 32.0)
        kinds["zeros"] = special_values.zeros(made.inputs)
    return {kind: {**made.values, **at} for kind, at in kinds.items() if at or kind == _OWN}


def _rounded(values: variants.Values, variant: variants.Variant) -> dict[str, np.ndarray]:
    """The values as half precision holds them, in float32."""
    dtype = tf.as_dtype(variant.layer.compute_dtype).as_numpy_dtype
    return {name: value.astype(dtype).astype("float32") for name, value in values.items()}


def _compare(made, variant, training: bool, kind: str, values, tolerance: float) -> None:
    subject = made.subject
    where = f"{variant.policy}, training={training}, {kind}"
    try:
        exact = made.results(training, values)
    except Exception as error:  # as where inputs are ids in floats
        reason = f"in float32 the layer refuses such values ({in_one_line(error, 100)})"
        subject.tally.left_out[where] = reason
        return
    half = variant.results(training, values)
    draws = subject.is_random(training)
    places = _valid_places(exact)
    for part in ("outputs", "losses", "variables"):
        found = variants.float_leaves(half[part], part)
        for name, wanted in variants.float_leaves(exact[part], part).items():
            if name not in found or found[name].shape != wanted.shape:
                continue
            wide, actual = wanted.astype("float64"), found[name].astype("float64")
            comparable = np.abs(wide) < 0.5 * float(tf.as_dtype(found[name].dtype).max)
            if kind != _OWN and not comparable.all():
                continue  # one place beyond the dtype, and sums beyond it may hide in others
            comparable &= places.get(name, True)
            wrong = comparable & ~np.isfinite(actual)
            if wrong.any():
                raise _failure(name, wide, actual, wrong, where, _OVERFLOW_HINT)
            if draws or kind != _OWN or not comparable.any():
                subject.tally.compared += 1
                continue
            errors = np.where(comparable, np.abs(actual - np.where(comparable, wide, 0.0)), 0.0)
            size = np.max(np.abs(wide[comparable]))
            subject.tally.add(Difference(None, errors.max(), errors.max() / size if size else 0.0))
            allowed = tolerance * size + _SMALLEST
            move = functools.partial(_movement, made, training, values, part, name)
            if errors.max() > allowed:
                # What rounding of the inputs and weights does alone, no layer can help.
                allowed += 10 * np.nanmax(move(tolerance / 20))
            if errors.max() > allowed:
                # Nor where it decides for another index, sign or integer.
                errors = np.where(errors > 2 * move(tolerance / 4), errors, 0.0)
            if errors.max() > allowed:
                raise _failure(name, wide, actual, errors == errors.max(), where, _ROUNDING_HINT)


_SMALLEST = 1e-4
_DRAWS = 8


def _valid_places(results: dict[str, Any]) -> dict[str, np.ndarray]:
    """Where the outputs are not masked, by name: behind a mask may be anything."""
    outputs = variants.all_leaves(results["outputs"], "outputs")
    return {
        name: np.expand_dims(mask, tuple(range(mask.ndim, leaf.ndim))).astype(bool)
        for (name, leaf), mask in zip(outputs.items(), results["masks"], strict=False)
        if mask is not None and mask.shape == leaf.shape[: mask.ndim]
    }


def _movement(made, training, values, part, name, noise) -> np.ndarray:
    """How far each place of a result moves at most when inputs and weights move a little."""
    generator = np.random.default_rng(0)
    base = variants.float_leaves(made.results(training, values)[part], part)[name]
    largest = np.zeros(base.shape)
    for _ in range(_DRAWS):
        moved = {
            key: (value * (1 + noise * generator.uniform(-1, 1, value.shape))).astype(value.dtype)
            for key, value in values.items()
        }
        try:
            other = variants.float_leaves(made.results(training, moved)[part], part)[name]
        except Exception:  # it refuses such values, and says nothing of how far they move it
            continue
        if other.shape == base.shape:
            largest = np.fmax(largest, np.abs(other - base))
    return largest


def _failure(name, wide, actual, wrong, where: str, hint: str) -> Failure:
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    place = f" at {list(index)}" if index else ""
    error = abs(actual[index] - wide[index])
    return Failure(
        f"{name} is {actual[index]:.6g}{place} where float32 gives {wide[index]:.6g}",
        where=f"{where}: {name}",
        hint=hint,
        max_abs_error=float(error),
    )
