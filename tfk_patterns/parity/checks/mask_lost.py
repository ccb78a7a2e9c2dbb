"""Masks that get lost."""

import inspect

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns.parity.calls.inner_calls import inner_calls
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.comparison import named_leaves
from tfk_patterns.parity.masks import output_masks, padding, padding_effects
from tfk_patterns.parity.masks.inner_masks import misses_mask
from tfk_patterns.parity.numbers.variants import trainings
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.repeating import why_not_compared
from tfk_patterns.parity.shapes.resizing import free_axes, grown

_INNER = (
    "tf ops and operators drop the mask of a tensor, so a layer called on what they return gets "
    "none: let `call` take `mask`, and pass `mask=mask` on."
)
_DROPPED = (
    "`compute_mask` must return the mask where the output still has the masked steps; without it "
    "`supports_masking = True` passes the mask on as it is."
)
_UNSUPPORTED = (
    "Layers after this one take padding for data: set `self.supports_masking = True` in "
    "`__init__`. A layer that is to end the mask says so by a `compute_mask` that returns `None`."
)
_MANY = 100  # steps more, with which a layer that ends masks on purpose ends them as well


@define_check(
    follows=("outputs", "masks", "eager_only", "python_state", "mask_shape"),
    link="https://keras.io/guides/understanding_masking_and_padding/",
    fast=True,
)
def mask_lost(subject):
    """A mask reaches the layers inside that use one, and comes out again or is used up.

    Bug: An operator or tf op returns a tensor without the mask, and a layer that is called on it
    runs over the padding. Shapes and losses look right, and no warning comes: the model is only
    worse than it could be (https://github.com/keras-team/keras/issues/18416).

    Broken::

        class ScaledGRU(keras.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.supports_masking = True
                self.gru = keras.layers.GRU(3, return_sequences=True)

            def build(self, input_shape):
                self.gru.build(tuple(input_shape))
                self.built = True

            def call(self, inputs):
                return self.gru(0.5 * inputs)


        case = LayerCase(ScaledGRU, steps, mask=mask)

    Mended::

        class ScaledGRU(keras.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.supports_masking = True
                self.gru = keras.layers.GRU(3, return_sequences=True)

            def build(self, input_shape):
                self.gru.build(tuple(input_shape))
                self.built = True

            def call(self, inputs, mask=None):
                return self.gru(0.5 * inputs, mask=mask)


        case = LayerCase(ScaledGRU, steps, mask=mask)
    """
    padding.skip_if_not_masked(subject)
    layer = subject.layer()
    if padding.says_it_masks(layer):
        _require_passed_inside(subject, layer)
    _require_passed_on(subject, layer)
    _require_same_in_model(subject)


def _require_passed_inside(subject, layer):
    for training in trainings(subject):
        calls = inner_calls(subject, layer, training)
        without = [call for call in calls if misses_mask(subject, layer, call, training)]
        if without and _has_effect(subject, layer, training):
            names = " and ".join(sorted({f"{type(c.layer).__name__}" for c in without}))
            raise Failure(
                f"no mask reaches the {names} inside, which would return something else with it",
                f"eager, training={training}: {without[0].layer.name}",
                _INNER,
            )


def _has_effect(subject, layer, training):
    """Whether the mask does nothing, or the padding moves what is valid."""
    if why_not_compared(subject, training) or subject.is_random(training):
        return False
    if not padding_effects.reacts_to_mask(subject, layer, training):
        return True
    axes = [axis for axis in padding.step_axes(subject.data) if axis in free_axes(subject)]
    try:
        padding_effects.compare_content(subject, layer, training)
        for axis in axes:
            padding_effects.compare_length(subject, layer, axis, training)
    except Failure:
        return True
    return False


def _require_passed_on(subject, layer):
    """Fails where an output has the masked steps and no mask, which nothing says or excuses."""
    masks = padding.input_masks(subject.data)
    if any(mask is None for mask in masks) or not _has_no_mask(subject):
        return
    kept = _outputs_with_steps(subject, masks)
    if not kept:
        return
    if not subject.reference.layer.supports_masking:
        if not padding.says_it_masks(layer) and _lets_padding_in(subject, layer):
            return  # `padding_content` says so
        raise Failure(
            f"{kept[0]} has the masked steps, but Keras drops the mask of a layer that does not "
            "support masking",
            f"eager: {kept[0]}",
            _UNSUPPORTED,
        )
    if not _drops_on_purpose(subject, layer) and not _uses_mask(subject, layer):
        raise Failure(
            f"the layer supports masking, but {kept[0]} has no mask, though it has the masked "
            "steps, and nothing in it depends on the mask",
            f"eager: {kept[0]}",
            _DROPPED,
        )


def _has_no_mask(subject) -> bool:
    return all(mask is None for mask in output_masks.masks_of_outputs(subject).values())


def _outputs_with_steps(subject, masks) -> list[str]:
    """The outputs with features of the masked steps, that are longer for longer inputs.

    Keras gives a mask to the first output alone, unless a `compute_mask` says otherwise. A number a
    step, such as a weight of attention, is no step.
    """
    shapes = [tuple(mask.shape) for mask in masks]
    axes = [axis for axis in padding.step_axes(subject.data) if axis in free_axes(subject)]
    longer = [dict(named_leaves(free_axes(subject)[axis], "outputs")) for axis in axes]
    return [
        name
        for name, output in list(named_leaves(subject.raw_outputs, "outputs"))[:1]
        if np.ndim(output) > max(map(len, shapes))
        and any(tuple(np.shape(output))[: len(shape)] == shape for shape in shapes)
        and all(np.shape(grown[name]) != np.shape(output) for grown in longer)
    ]


def _lets_padding_in(subject, layer) -> bool:
    try:
        for training in trainings(subject):
            if not why_not_compared(subject, training):
                padding_effects.compare_content(subject, layer, training)
    except Failure:
        return True
    return False


def _uses_mask(subject, layer) -> bool:
    return any(
        why_not_compared(subject, training)
        or padding_effects.reacts_to_mask(subject, layer, training)
        for training in trainings(subject)
    )


def _drops_on_purpose(subject, layer) -> bool:
    """Whether a `compute_mask` of its own ends any mask, and its `call` asks for none."""
    cls = type(layer)
    own = cls.compute_mask is not keras.layers.Layer.compute_mask
    if not own or "mask" in inspect.signature(cls.call).parameters:
        return False
    longer = grown(subject.data, padding.step_axes(subject.data), _MANY)
    layer.compute_mask(subject.data["inputs"], subject.data["mask"])  # as Keras has called it
    try:
        masks = layer.compute_mask(longer["inputs"], longer["mask"])
    except Exception:  # it knows its own number of steps
        return True
    return all(mask is None for mask in tf.nest.flatten(masks))


def _require_same_in_model(subject):
    expected = output_masks.masks_of_outputs(subject)
    try:
        found = output_masks.functional_masks(subject)
    except Skip as skip:
        subject.tally.left_out["functional model"] = skip.reason
        return
    for name, mask in expected.items():
        if mask is not None and found[name][1] is None:
            raise Failure(
                f"{name} has a mask in eager mode, and none in a functional model",
                f"functional model: {name}",
                _DROPPED,
            )
