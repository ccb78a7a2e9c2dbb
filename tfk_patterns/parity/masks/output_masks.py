"""The masks on the outputs, by their values, in eager mode and in a functional model."""

import traceback
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity import models
from tfk_patterns.parity.comparison import named_leaves
from tfk_patterns.parity.data import tensors_of
from tfk_patterns.parity.errors import blamed
from tfk_patterns.parity.observation import masks_of
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.shapes.resizing import all_grown
from tfk_patterns.parity.subject import Subject

Masks = dict[str, tuple[tuple[int | None, ...], np.ndarray | None]]
"""Name of an output to its shape and its mask."""

SYMBOLIC = (
    "Keras 3 calls `compute_mask` with symbolic tensors in a functional model, which tf ops do not "
    "take: use `keras.ops` there, which takes both kinds, or slices and `&`."
)


def masks_in_modes(subject: Subject) -> Iterator[tuple[str, Masks]]:
    """The masks in eager mode, there for longer inputs, and in a functional model.

    Raises:
        Failure: The layer cannot be in a functional model.
        Skip: No output ever carries a mask.
    """
    own = _eager(subject.raw_outputs)
    if not subject.reference.layer.supports_masking:
        raise Skip("the layer does not set `supports_masking`: it makes no mask for its outputs")
    if not has_any(own) and not makes_masks(subject):
        raise Skip("no output carries a mask")
    yield "eager", own
    longer = all_grown(subject)
    if longer is not None:
        yield "eager, longer inputs", _eager(longer[1])
    try:
        symbolic = functional_masks(subject)
    except Skip as skip:
        symbolic = {}
        subject.tally.left_out["functional model"] = skip.reason
    yield "functional model", symbolic
    if not has_any(own) and not has_any(symbolic):
        raise Skip("no output carries a mask")


def masks_of_outputs(subject: Subject) -> dict[str, np.ndarray | None]:
    """The mask of each output in eager mode, by the name of the output."""
    return {name: mask for name, (_, mask) in _eager(subject.raw_outputs).items()}


def makes_masks(subject: Subject) -> bool:
    """Whether a class that is not Keras' own says how masks are made."""
    layer = subject.reference.layer
    return _keras.defines(layer, "compute_mask") and not _keras.is_keras_own(type(layer))


def has_any(masks: Masks) -> bool:
    """Whether an output carries a mask."""
    return any(mask is not None for _, mask in masks.values())


def functional_masks(subject: Subject) -> Masks:
    """The masks that reach a layer after this one in a functional model, for the case's data."""
    return subject.shared("functional_masks", lambda: _functional_masks(subject))


def was_in_compute_mask(failure: Failure) -> bool:
    """Whether what went wrong was raised in a `compute_mask`."""
    error = failure.__cause__
    frames = traceback.extract_tb(error.__traceback__) if error is not None else ()
    return any(frame.name == "compute_mask" for frame in frames)


def _eager(outputs) -> Masks:
    names = [name for name, _ in named_leaves(outputs, "outputs")]
    leaves = tf.nest.flatten(outputs)
    masks = [None if mask is None else np.asarray(mask) for mask in masks_of(outputs)]
    shapes = [tuple(getattr(leaf, "shape", ())) for leaf in leaves]
    return dict(zip(names, zip(shapes, masks, strict=True), strict=True))


def _functional_masks(subject):
    subject.skip_if_not_symbolic()
    layer = subject.layer()
    with equal_circumstances():
        inputs, outputs = models.symbolic_call(layer, subject.data, subject.case.fixed_kwargs)
        named = list(named_leaves(outputs, "outputs"))
        with blamed("the masks cannot be used in a functional model", "functional model", SYMBOLIC):
            read = [models.ReadMask()(output) for _, output in named]
            model = keras.Model(inputs, [*tf.nest.flatten(outputs), *read])
            found = tf.nest.flatten(model(tensors_of(subject.data)))
    results, masks = found[: len(named)], found[len(named) :]
    return {
        name: (tuple(result.shape), None if mask.shape == (0,) else np.asarray(mask))
        for (name, _), result, mask in zip(named, results, masks, strict=True)
    }
