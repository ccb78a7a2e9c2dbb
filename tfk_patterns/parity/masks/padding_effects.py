"""What moves when the padding does: in its content, or in its length."""

import numpy as np

from tfk_patterns.parity.comparison import named_leaves
from tfk_patterns.parity.masks import padding
from tfk_patterns.parity.masks.padded_calls import called, effects, only, ready, tensors
from tfk_patterns.parity.shapes.resizing import Axis
from tfk_patterns.parity.subject import Subject

_POOLING = " Over the valid steps alone, `tfk_patterns.layers.MaskedPooling1D` pools."
CONTENT = (
    "Padding enters a sum, mean, maximum, softmax, convolution or batch statistic: multiply by the "
    "mask (`tf.where` where values may be large), add a large negative number to scores, divide by "
    "the number of valid steps; and give the mask to the layers inside. A penalty or metric takes "
    "valid steps only, as `metric.update_state(values, sample_weight=mask)` does." + _POOLING
)
IGNORED = (
    "The layer does not say that it takes a mask: let `call` take `mask`, use it, and set "
    "`supports_masking = True` after `super().__init__()`. A layer that is never fed padding needs "
    "no mask in its case." + _POOLING
)
LENGTH = (
    "The number of steps, padding included, enters the result: divide by the number of valid "
    "steps, at least 1, and take the last valid step, not the last one." + _POOLING
)


def compare_content(subject: Subject, layer, training: bool) -> None:
    """Compares a built layer on the case's data with the same on other padding.

    Raises:
        Failure: Valid outputs, gradients of them, losses, metrics or state differ.
    """
    expected, valid = effects(subject, layer, subject.data, training)
    for magnitude in padding.magnitudes(subject):
        where = f"eager, training={training}, numbers up to {magnitude:g} in the padding"
        data = padding.with_rubbish(subject.data, magnitude)
        found, _ = effects(subject, layer, data, training, valid)
        if _is_finite(expected) and not _is_finite(found) and _overflows(subject, data, training):
            subject.tally.left_out[where] = "such numbers are too large for the layer anywhere"
            continue
        for name, wanted in expected.items():
            hint = CONTENT if padding.says_it_masks(layer) else IGNORED
            subject.compare(wanted, found.get(name), where, name, hint, source="the case's padding")


def compare_length(subject: Subject, layer, axis: Axis, training: bool) -> None:
    """Compares a built layer on the case's data with the same and a few masked steps more.

    Raises:
        Failure: Valid outputs or losses differ.
    """
    where = f"eager, training={training}, {padding.STEPS} masked steps more"
    expected, losses = called(subject, layer, subject.data, training)
    valid = padding.valid_outputs(subject.data, expected)
    longer_data = padding.padded(subject.data, axis)
    found, losses_of_longer = called(subject, layer, longer_data, training)
    valid_in_found = padding.valid_outputs(longer_data, found)
    found = tensors(found)
    for name, output in tensors(expected).items():
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
        one, two = (only(valid[name], array) for array in (np.asarray(output), other))
        subject.compare(one, two, where, name, LENGTH, source="the padding of the case")
    for name, wanted in losses.items():
        pair = wanted, losses_of_longer.get(name)
        subject.compare(*pair, where, name, LENGTH, source="the padding of the case")


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
        call = subject.call(ready(subject, layer, training), training=training, data=data)
        results.append(dict(named_leaves([call.outputs, call.losses], "results")))
    one, other = results
    return one.keys() != other.keys() or not all(
        np.array_equal(one[name], other[name], equal_nan=np.asarray(one[name]).dtype.kind == "f")
        for name in one
    )


def _overflows(subject, data, training) -> bool:
    """Whether it computes no finite numbers from the data where nothing is masked either."""
    data = padding.all_valid(data)
    return not _is_finite(effects(subject, subject.layer(), data, training)[0])


def _is_finite(found: dict[str, np.ndarray]) -> bool:
    return all(np.isfinite(array).all() for array in found.values() if array.dtype.kind == "f")
