"""What moves when the padding does: in its content, or in its length."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity import padding
from tfk_patterns.parity.comparison import named_leaves
from tfk_patterns.parity.data import Data
from tfk_patterns.parity.observation import values_by_name, weighted_sum
from tfk_patterns.parity.resizing import Axis
from tfk_patterns.parity.subject import Subject

CONTENT = (
    "Padding enters a sum, mean, maximum, softmax, convolution or batch statistic: multiply by the "
    "mask (`tf.where` where values may be large), add a large negative number to scores, divide by "
    "the number of valid steps; and give the mask to the layers inside."
)
LENGTH = (
    "The number of steps, padding included, enters the result: divide by the number of valid "
    "steps, `tf.reduce_sum(mask)`, and take the last valid step, not the last one."
)


def compare_content(subject: Subject, layer, training: bool) -> None:
    """Compares a built layer on the case's data with the same on other padding.

    Raises:
        Failure: Valid outputs, gradients of them, or state differ.
    """
    expected = _effects(subject, layer, subject.data, training)
    valid = expected.pop("valid")
    for magnitude in padding.magnitudes(subject):
        where = f"eager, training={training}, padding of size {magnitude:g}"
        data = padding.with_rubbish(subject.data, magnitude)
        found = _effects(subject, layer, data, training, valid)
        for key, wanted in expected.items():
            subject.compare(wanted, found[key], where, key, CONTENT, source="the case's padding")


def compare_length(subject: Subject, layer, axis: Axis, training: bool) -> None:
    """Compares a built layer on the case's data with the same and a few masked steps more.

    Raises:
        Failure: Valid outputs differ.
    """
    where = f"eager, training={training}, {padding.STEPS} masked steps more"
    expected = _called(subject, layer, subject.data, training)
    valid = padding.valid_outputs(subject.data, expected)
    found = _tensors(_called(subject, layer, padding.padded(subject.data, axis), training))
    for name, output in _tensors(expected).items():
        other = np.asarray(found[name])
        longer = list(output.shape)
        if len(longer) > axis.number:
            longer[axis.number] += padding.STEPS
        if list(other.shape) == longer != list(output.shape):
            other = np.take(other, range(output.shape[axis.number]), axis.number)
        if other.shape != output.shape:
            subject.tally.left_out[name] = f"its shape depends on axis {axis.number} otherwise"
            continue
        one, two = (_only(valid[name], array) for array in (np.asarray(output), other))
        subject.compare(one, two, where, name, LENGTH, source="the padding of the case")


def reacts_to_mask(subject: Subject, layer, training: bool) -> bool:
    """Whether outputs or losses are others when nothing is masked."""
    results = []
    for data in (subject.data, padding.all_valid(subject.data)):
        subject.reference.restore(layer)
        call = subject.call(layer, training=training, data=data)
        results.append(dict(named_leaves([call.outputs, call.losses], "results")))
    one, other = results
    return one.keys() != other.keys() or not all(
        np.array_equal(one[name], other[name], equal_nan=np.asarray(one[name]).dtype.kind == "f")
        for name in one
    )


def _effects(subject, layer, data: Data, training, valid=None) -> dict[str, Any]:
    """Valid outputs, their gradients and the state after the call, each by name."""
    inputs = {n: leaf for n, leaf in named_leaves(data["inputs"], "inputs") if _is_float(leaf)}
    weights = [v for v in _keras.trainable_variables(layer) if tf.as_dtype(v.dtype).is_floating]
    with tf.GradientTape() as tape:
        tape.watch(list(inputs.values()))
        outputs = _called(subject, layer, data, training)
        if valid is None:
            valid = padding.valid_outputs(data, outputs)
        kept = {n: _only(valid[n], output) for n, output in _tensors(outputs).items()}
        target = weighted_sum(kept)
    try:
        by_inputs, by_weights = tape.gradient(
            target, (inputs, weights), unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
    except LookupError:  # TensorFlow defines no gradient of an operation
        by_inputs, by_weights = {}, []
    masks = dict(zip(_names(data), padding.input_masks(data), strict=True))
    return {
        "outputs": {name: np.asarray(output) for name, output in kept.items()},
        "state": _float_state(layer),
        "gradients by": {
            name: np.asarray(_only_unmasked(gradient, masks[name]))
            for name, gradient in by_inputs.items()
        },
        "weight_gradients": [np.asarray(tf.convert_to_tensor(g)) for g in by_weights],
        "valid": valid,
    }


def _called(subject, layer, data, training):
    subject.reference.restore(layer)
    return subject.raw_call(layer, training=training, data=data)


def _float_state(layer) -> dict[str, np.ndarray]:
    values = values_by_name(_keras.state_variables(layer))
    return {name: value for name, value in values.items() if value.dtype.kind == "f"}


def _tensors(outputs) -> dict[str, tf.Tensor]:
    leaves = named_leaves(outputs, "outputs")
    return {name: leaf for name, leaf in leaves if isinstance(leaf, tf.Tensor)}


def _names(data) -> list[str]:
    return [name for name, _ in named_leaves(data["inputs"], "inputs")]


def _only(valid, array):
    """The values where they are valid, and zeros of their dtype elsewhere."""
    if isinstance(array, np.ndarray):
        return np.where(valid, array, np.zeros_like(array))
    return tf.where(valid, array, tf.zeros_like(array))


def _only_unmasked(gradient, mask):
    if mask is None:
        return gradient
    keep = tf.reshape(mask, [*mask.shape, *([1] * (gradient.shape.rank - mask.shape.rank))])
    return tf.where(keep, gradient, tf.zeros_like(gradient))


def _is_float(leaf) -> bool:
    return isinstance(leaf, tf.Tensor) and leaf.dtype.is_floating
