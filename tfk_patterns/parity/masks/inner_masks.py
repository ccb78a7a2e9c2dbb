"""What the layers inside of a layer would do with a mask, and do with the padding."""

import contextlib

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.calls.inner_calls import InnerCall
from tfk_patterns.parity.masks import padding
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.subject import Subject


def misses_mask(subject: Subject, layer, call: InnerCall, training: bool) -> bool:
    """Whether no mask reaches an inner layer that would return something else with one."""
    if call.has_mask or subject.is_stateful:  # two calls of a stateful one differ anyway
        return False
    masks = [mask for mask in padding.input_masks(subject.data) if mask is not None]
    with contextlib.suppress(Exception):  # it may take no mask of that shape
        bare = _called(subject, layer, call, call.args, training)
        masked = _called(subject, layer, call, _with_masks(call.args, masks), training)
        return not all(map(_equal, bare, masked))
    return False


def lets_padding_in(subject: Subject, layer, call: InnerCall, training: bool) -> bool:
    """Whether an inner layer of Keras' own, which got the mask, moves with the padding's content.

    Its valid outputs or its state, as those of Keras 2's BatchNormalization in training.
    """
    masks = [call.kwargs.get("mask") if m is None else m for m in call.masks]
    is_judged = call.has_mask and call.is_of_keras and len(masks) == 1
    if not is_judged or masks[0] is None or not padding.says_it_masks(call.layer):
        return False
    inputs = call.args[0]
    data = {"inputs": inputs, "mask": masks[0], "kwargs": {}}
    results = []
    for given in (inputs, padding.with_rubbish(data, padding.magnitudes(subject)[-1])["inputs"]):
        outputs = _called(subject, layer, call, _with_masks((given,), masks), training)
        keep = np.asarray(masks[0])
        results.append(
            [o[keep] if o.shape[: keep.ndim] == keep.shape else o for o in outputs]
            + [np.asarray(tf.convert_to_tensor(v)) for v in call.layer.variables]
        )
    return not all(map(_equal, *results))


def _called(subject, layer, call, args, training) -> list[np.ndarray]:
    subject.reference.restore(layer)
    kwargs = {"training": training, **call.kwargs}
    with equal_circumstances():
        return [np.asarray(leaf) for leaf in tf.nest.flatten(call.layer(*args, **kwargs))]


def _with_masks(args: tuple, masks: list) -> tuple:
    """The arguments with the first mask attached to each tensor whose leading axes it has."""

    def attach(leaf):
        if not isinstance(leaf, tf.Tensor):
            return leaf
        leaf = tf.identity(leaf)
        for mask in masks:
            if mask.shape == leaf.shape[: mask.shape.rank]:
                _keras.attach_mask(leaf, mask)
                break
        return leaf

    return tf.nest.map_structure(attach, args)


def _equal(one, other) -> bool:
    return np.allclose(one, other, rtol=1e-4, atol=1e-6, equal_nan=True)
