"""NaN and infinity where inputs are special, but finite."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import in_one_line
from tfk_patterns.parity.masks import masking
from tfk_patterns.parity.numbers import infinities, special_values, variants
from tfk_patterns.parity.outcome import Failure, Skip

_ZERO_HINT = (
    "A division by zero, a logarithm of zero, or the gradient of a root or norm at zero, which is "
    "infinite: divide by tf.maximum(x, epsilon) or with tf.math.divide_no_nan, and add epsilon "
    "inside the root or logarithm."
)
_LARGE_HINT = (
    "An exponential or power overflows though the result would fit: subtract the maximum first, "
    "or use tf.nn.softmax, tf.reduce_logsumexp, tf.math.softplus and their like."
)


@define_check(
    follows=("outputs",),
    link="https://www.tensorflow.org/api_docs/python/tf/debugging/enable_check_numerics",
)
def finite_values(subject):
    """Finite inputs give no NaN, and no infinity where the result would fit the dtype.

    The case's own values, zeros, equal values, large values: outputs, losses, variables; gradients,
    too, but for large ones. The case's own give no infinity at all, unless it stays when the inputs
    move, as in logits of what is impossible.

    Bug: A vector of zeros, as padding or a dead ReLU makes one, is divided by its norm, 0, and the
    gradient of the norm is NaN there. One such sample in one batch turns every weight into NaN,
    mostly long after training began (https://github.com/tensorflow/tensorflow/issues/12071).

    Broken::

        class UnitVectors(keras.layers.Layer):
            def call(self, inputs):
                return inputs / tf.norm(inputs, axis=-1, keepdims=True)


        case = LayerCase(UnitVectors, steps)

    Mended::

        class UnitVectors(keras.layers.Layer):
            def call(self, inputs):
                return tf.math.l2_normalize(inputs, axis=-1, epsilon=1e-4)


        case = LayerCase(UnitVectors, steps)
    """
    made = variants.as_made(subject)
    variant = variants.with_data(made, masking.nowhere_fully(subject.data))
    for training in variants.trainings(subject):
        for kind, values in _at_which(variant.inputs).items():
            found = _tried(subject, variant.differentiated, training, kind, values)
            _judge(subject, found, training, kind, values, _ZERO_HINT)
        for kind, values in special_values.large(variant.inputs, subject.compute_dtype).items():
            found = _tried(subject, variant.results, training, kind, values)
            _judge(subject, found, training, kind, values, _LARGE_HINT)
    subject.skip_if_nothing("nothing in it is a float, or its inputs are not finite")


def _at_which(inputs: variants.Values) -> dict[str, variants.Values]:
    kinds = special_values.degenerate(inputs)
    if all(np.isfinite(value.astype("float64")).all() for value in inputs.values()):
        return {_OWN: {}, **kinds}
    return kinds


_OWN = "the case's own values"


def _tried(subject, function, training: bool, kind: str, values) -> dict[str, Any]:
    """What the layer gives, or nothing where it refuses such values by an error."""
    if kind == _OWN:
        return function(training, values)
    try:
        return function(training, values)
    except Exception as error:
        subject.tally.left_out[kind] = f"the layer refuses them ({in_one_line(error, 100)})"
        return {}


def _judge(subject, found: dict[str, Any], training: bool, kind: str, values, hint: str) -> None:
    is_large = hint is _LARGE_HINT
    for part, structure in found.items():
        for name, leaf in variants.float_leaves(structure, part).items():
            subject.tally.compared += 1
            wide = leaf.astype("float64")
            wrong = np.isnan(wide)
            if kind == _OWN:
                wrong |= _infinite_by_mistake(subject, training, part, name, wide)
            elif part != "gradients" and (is_large or np.isinf(wide).any()):
                wrong = _wrong_by_float64(subject, training, values, part, name, leaf)
            if wrong.any():
                index = tuple(int(i) for i in np.argwhere(wrong)[0])
                place = f" at {list(index)}" if index else ""
                raise Failure(
                    f"{name} is {wide[index]}{place} where the inputs are {kind}",
                    where=f"eager, training={training}: {name}",
                    hint=hint,
                )


def _infinite_by_mistake(subject, training, part, name, wide) -> np.ndarray:
    """Where there is infinity that is not meant."""
    infinite = np.isinf(wide)
    if not infinite.any():
        return infinite
    variant = variants.as_made(subject)
    variant = variants.with_data(variant, masking.nowhere_fully(subject.data))
    meant = infinities.meant(variant, training, part, name, infinite)
    if meant.any():
        place = f"infinities of {name}, training={training}"
        subject.tally.left_out[place] = "they stay when the inputs move, and so are by intent"
    return infinite & ~meant


def _wrong_by_float64(subject, training, values, part, name, leaf) -> np.ndarray:
    """Where NaN or infinity is no honest overflow: float64 gives NaN, or a number that fits."""
    wide = leaf.astype("float64")
    if np.isfinite(wide).all():
        return np.zeros(wide.shape, bool)
    try:
        exact = variants.under_policy(subject, "float64")
        exact = variants.with_data(exact, masking.nowhere_fully(exact.data))
        result = variants.float_leaves(exact.results(training, values)[part], part)[name]
    except (Failure, Skip):
        reason = "the layer does not run in float64, which would tell overflow from error"
        subject.tally.left_out[f"{name}, training={training}"] = reason
        return np.zeros(wide.shape, bool)
    result = result.astype("float64")
    fits = np.abs(result) < float(tf.as_dtype(leaf.dtype).max)
    return ~np.isfinite(wide) & (fits | np.isnan(result))
