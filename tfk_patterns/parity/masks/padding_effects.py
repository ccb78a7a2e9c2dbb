"""What moves when the padding does: in its content, or in its length."""

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import values_by_name
from tfk_patterns.parity.comparison import named_leaves
from tfk_patterns.parity.data import Data
from tfk_patterns.parity.masks import padding
from tfk_patterns.parity.observation import weighted_sum
from tfk_patterns.parity.shapes.resizing import Axis
from tfk_patterns.parity.subject import Subject

CONTENT = (
    "Padding enters a sum, mean, maximum, softmax, convolution or batch statistic: multiply by the "
    "mask (`tf.where` where values may be large), add a large negative number to scores, divide by "
    "the number of valid steps; and give the mask to the layers inside."
)
IGNORED = (
    "The layer does not say that it takes a mask: let `call` take `mask`, use it, and set "
    "`supports_masking = True` after `super().__init__()`. A layer that is never fed padding needs "
    "no mask in its case."
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
    expected, valid = _effects(subject, layer, subject.data, training)
    for magnitude in padding.magnitudes(subject):
        where = f"eager, training={training}, padding of magnitude {magnitude:g}"
        data = padding.with_rubbish(subject.data, magnitude)
        found, _ = _effects(subject, layer, data, training, valid)
        if _is_finite(expected) and not _is_finite(found) and _overflows(subject, data, training):
            subject.tally.left_out[where] = "such numbers are too large for the layer anywhere"
            continue
        for name, wanted in expected.items():
            hint = CONTENT if padding.says_it_masks(layer) else IGNORED
            subject.compare(wanted, found[name], where, name, hint, source="the case's padding")


def compare_length(subject: Subject, layer, axis: Axis, training: bool) -> None:
    """Compares a built layer on the case's data with the same and a few masked steps more.

    Raises:
        Failure: Valid outputs differ.
    """
    where = f"eager, training={training}, {padding.STEPS} masked steps more"
    expected = _called(subject, layer, subject.data, training)
    valid = padding.valid_outputs(subject.data, expected)
    longer_data = padding.padded(subject.data, axis)
    found = _called(subject, layer, longer_data, training)
    valid_in_found = padding.valid_outputs(longer_data, found)
    found = _tensors(found)
    for name, output in _tensors(expected).items():
        other = np.asarray(found[name])
        steps = [_valid_steps(valid[name]), _valid_steps(valid_in_found[name])]
        if _as_many(*steps):  # in order, wherever the padding is
            pair = np.asarray(output)[steps[0]], other[steps[1]]
            subject.compare(*pair, where, name, LENGTH, source="the padding of the case")
            continue
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


def _valid_steps(valid: np.ndarray) -> np.ndarray | None:
    """The valid steps of each sample, where what is valid is whole steps."""
    if valid.ndim < 3:
        return None
    features = valid.reshape(*valid.shape[:2], -1)
    return features.all(axis=2) if np.array_equal(features.all(2), features.any(2)) else None


def _as_many(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    """Whether each sample has as many valid steps in both."""
    if one is None or other is None:
        return False
    return np.array_equal(one.sum(axis=1), other.sum(axis=1))


def reacts_to_mask(subject: Subject, layer, training: bool) -> bool:
    """Whether outputs or losses are others when nothing is masked."""
    results = []
    for data in (subject.data, padding.all_valid(subject.data)):
        call = subject.call(_ready(subject, layer, training), training=training, data=data)
        results.append(dict(named_leaves([call.outputs, call.losses], "results")))
    one, other = results
    return one.keys() != other.keys() or not all(
        np.array_equal(one[name], other[name], equal_nan=np.asarray(one[name]).dtype.kind == "f")
        for name in one
    )


def _effects(subject, layer, data: Data, training, valid=None):
    """Valid outputs, their gradients and the state after the call, by name; and what is valid."""
    layer = _ready(subject, layer, training)
    masks = dict(zip(_names(data), padding.input_masks(data), strict=True))
    inputs = {n: leaf for n, leaf in named_leaves(data["inputs"], "inputs") if _is_float(leaf)}
    weights = dict(
        zip(
            values_by_name(layer.trainable_variables),
            _keras.trainable_variables(layer),
            strict=True,
        )
    )
    with tf.GradientTape() as tape:
        tape.watch(list(inputs.values()))
        outputs = subject.raw_call(layer, training=training, data=data)
        if valid is None:
            valid = padding.valid_outputs(data, outputs)
        kept = {name: _only(valid[name], leaf) for name, leaf in _tensors(outputs).items()}
        target = weighted_sum(kept)
    found = {name: np.asarray(output) for name, output in kept.items()}
    found |= {f"state {name}": value for name, value in _float_state(layer).items()}
    zero = tf.UnconnectedGradients.ZERO
    try:
        by_inputs, by_weights = tape.gradient(target, (inputs, weights), unconnected_gradients=zero)
    except LookupError:  # TensorFlow defines no gradient of an operation
        return found, valid
    for name, gradient in by_inputs.items():
        found[f"gradient by {name}"] = np.asarray(_only_unmasked(gradient, masks[name]))
    for name, gradient in by_weights.items():
        found[f"gradient by {name}"] = np.asarray(tf.convert_to_tensor(gradient))
    return found, valid


def _overflows(subject, data, training) -> bool:
    """Whether it computes no finite numbers from the data where nothing is masked either."""
    data = padding.all_valid(data)
    return not _is_finite(_effects(subject, subject.layer(), data, training)[0])


def _is_finite(found: dict[str, np.ndarray]) -> bool:
    return all(np.isfinite(array).all() for array in found.values() if array.dtype.kind == "f")


def _ready(subject, layer, training):
    """The layer in the reference state; a fresh one where it has more state than Keras lists."""
    if subject.is_stateful or subject.is_random(training):
        return subject.layer()
    return subject.reference.restore(layer)


def _called(subject, layer, data, training):
    layer = _ready(subject, layer, training)
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
