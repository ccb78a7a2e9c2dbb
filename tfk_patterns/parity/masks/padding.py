"""Masked positions of the inputs, what may be written there, and what of the outputs is valid."""

import inspect
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.comparison import named_leaves
from tfk_patterns.parity.data import Data
from tfk_patterns.parity.observation import masks_of
from tfk_patterns.parity.outcome import Skip
from tfk_patterns.parity.shapes.resizing import Axis, grown
from tfk_patterns.parity.subject import Subject

STEPS = 3
"""How many steps of padding are added."""

_LARGEST = {"float16": 100.0}


def skip_if_not_masked(subject: Subject) -> None:
    """Ends a check of what a layer does with padding, where there is none or it takes no mask.

    One of Keras' own that takes no mask is as documented; one that is tested on masked data is
    meant for such data.
    """
    if all(mask is None for mask in input_masks(subject.data)):
        raise Skip("the case has no mask")
    layer = subject.reference.layer
    if _keras.is_keras_own(type(layer)) and not says_it_masks(layer):
        raise Skip(f"Keras' {type(layer).__name__} takes no mask")


def says_it_masks(layer) -> bool:
    """Whether a layer supports masking, or its `call` takes a mask."""
    return bool(layer.supports_masking) or "mask" in inspect.signature(layer.call).parameters


def input_masks(data: Data) -> list:
    """The mask of each input, or `None`."""
    inputs = tf.nest.flatten(data["inputs"])
    return [None] * len(inputs) if data["mask"] is None else tf.nest.flatten(data["mask"])


def all_valid(data: Data) -> Data:
    """The data with nothing masked."""
    return {**data, "mask": tf.nest.map_structure(_ones_like, data["mask"])}


def magnitudes(subject: Subject) -> tuple[float, ...]:
    """How large the rubbish may be that is written into the padding."""
    return (1.0, _LARGEST.get(subject.compute_dtype, 1000.0))


def with_rubbish(data: Data, magnitude: float) -> Data:
    """The data with other values in the masked positions: ids stay among those that are there."""
    inputs = [
        leaf if mask is None else _with_rubbish(leaf, mask, magnitude)
        for leaf, mask in zip(tf.nest.flatten(data["inputs"]), input_masks(data), strict=True)
    ]
    return {**data, "inputs": tf.nest.pack_sequence_as(data["inputs"], inputs)}


def step_axes(data: Data) -> list[Axis]:
    """The axes after the batch that masks are about, without repeats."""
    masks = [mask for mask in input_masks(data) if mask is not None and mask.shape.rank > 1]
    return list(dict.fromkeys(Axis(1, mask.shape[1]) for mask in masks))


def padded(data: Data, axis: Axis) -> Data:
    """The data with a few masked steps more at the end."""
    longer = grown(data, [axis], STEPS)

    def end(mask):
        if mask is None or not axis.is_in(mask):
            return mask
        return tf.pad(mask, [[0, 0], [0, STEPS], *([[0, 0]] * (mask.shape.rank - 2))])

    return {**longer, "mask": tf.nest.map_structure(end, data["mask"])}


def valid_outputs(data: Data, outputs: Any) -> dict[str, np.ndarray]:
    """For each output by name, where it is valid: an array of booleans of its rank.

    Not where its own mask or that of an input in the same steps says otherwise, nor for samples of
    which nothing is valid. Its own says alone where it has moved an input's, as in a reversal.
    """
    masks = [np.asarray(mask) for mask in input_masks(data) if mask is not None]
    some = np.all([mask.reshape(len(mask), -1).any(axis=1) for mask in masks], axis=0)
    found = {}
    named = named_leaves(outputs, "outputs")
    for (name, output), own in zip(named, masks_of(outputs), strict=True):
        shape = tuple(output.shape)
        valid = np.ones(shape, bool)
        for mask in (some, *(mask for mask in masks if not _is_moved(mask, own)), own):
            if mask is not None and tuple(mask.shape) == shape[: mask.ndim]:
                mask = np.asarray(mask).astype(bool)
                valid &= mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim))
        found[name] = valid
    return found


def _is_moved(mask: np.ndarray, own: Any) -> bool:
    """Whether the mask of an output has as many valid steps in each sample as one of an input."""
    if own is None or tuple(own.shape) != mask.shape or mask.ndim < 2:
        return False
    return np.array_equal(np.asarray(own).astype(bool).sum(axis=1), mask.astype(bool).sum(axis=1))


def _with_rubbish(leaf, mask, magnitude):
    if not isinstance(leaf, tf.Tensor):
        return leaf
    keep = tf.reshape(mask, [*mask.shape, *([1] * (leaf.shape.rank - mask.shape.rank))])
    place = tf.reshape(tf.range(tf.size(leaf)), leaf.shape)
    if leaf.dtype.is_floating:
        values = magnitude * tf.sin(1.0 + 2.3 * tf.cast(place, tf.float64))
        return tf.where(keep, leaf, tf.cast(values, leaf.dtype))
    known = tf.unique(tf.reshape(leaf, [-1]))[0]
    return tf.where(keep, leaf, tf.gather(known, (place + int(magnitude)) % tf.size(known)))


def _ones_like(mask):
    return None if mask is None else tf.ones_like(mask)
