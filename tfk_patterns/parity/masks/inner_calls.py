"""The calls that a layer makes of layers in it, and what each would do with a mask."""

import contextlib
import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.calls.watching import watched_calls
from tfk_patterns.parity.masks import padding
from tfk_patterns.parity.observation import masks_of
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.subject import Subject


@dataclasses.dataclass(frozen=True)
class InnerCall:
    """One call of a layer inside the layer of the case, in eager mode.

    Args:
        layer: The layer that was called.
        args: What it was given by position.
        kwargs: What it was given by keyword.
        masks: The masks on the tensors among `args`, in their order, as they were then.
    """

    layer: Any
    args: tuple
    kwargs: dict[str, Any]
    masks: list

    @property
    def has_mask(self) -> bool:
        """Whether a mask reached it."""
        return self.kwargs.get("mask") is not None or any(mask is not None for mask in self.masks)


def inner_calls(subject: Subject, layer, training: bool) -> list[InnerCall]:
    """The calls of other layers during a call of a built layer on the data of the case."""
    found: list[InnerCall] = []

    def note(called, *args, **kwargs):
        if called is not layer:
            found.append(InnerCall(called, args, kwargs, masks_of(args)))

    subject.reference.restore(layer)
    with watched_calls(note):
        subject.raw_call(layer, training=training)
    return found


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
    is_judged = call.has_mask and _keras.is_keras_own(type(call.layer)) and len(masks) == 1
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
