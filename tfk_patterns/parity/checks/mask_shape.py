"""Shapes of masks."""

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.masks import output_masks
from tfk_patterns.parity.outcome import Failure

_HINT = (
    "`compute_mask` must return a mask with the leading axes of its output, or None where the "
    "output no longer has the masked axis, as after pooling; the mask shrinks and grows as the "
    "steps do. Without `compute_mask`, `supports_masking = True` passes the mask on as it is."
)


@define_check(
    follows=("outputs", "masks", "eager_only"),
    link="https://keras.io/guides/understanding_masking_and_padding/",
    fast=True,
)
def mask_shape(subject):
    """The mask on an output has the leading axes of that output, in functional models too.

    Bug: `supports_masking = True` passes the mask on as it is. After a layer that pools, or that
    takes every second step, it is longer than the output: the next layer or the loss raises, or
    broadcasts it and weighs the wrong values (https://github.com/tslearn-team/tslearn/pull/660).

    Broken::

        class EverySecondStep(keras.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.supports_masking = True

            def call(self, inputs):
                return inputs[:, ::2]


        case = LayerCase(EverySecondStep, steps, mask=mask)

    Mended::

        class EverySecondStep(keras.layers.Layer):
            def call(self, inputs):
                return inputs[:, ::2]

            def compute_mask(self, inputs, mask=None):
                return None if mask is None else mask[:, ::2]


        case = LayerCase(EverySecondStep, steps, mask=mask)
    """
    try:
        for where, masks in output_masks.masks_in_modes(subject):
            for name, (shape, mask) in masks.items():
                if mask is not None and (not mask.ndim or mask.shape != shape[: mask.ndim]):
                    raise Failure(
                        f"the mask of {name} has shape {mask.shape}, and {name} has {shape}",
                        f"{where}: {name}",
                        _HINT,
                    )
    except Failure as failure:
        if not output_masks.was_in_compute_mask(failure):
            raise
        raise Failure(failure.message, failure.where, output_masks.SYMBOLIC) from failure
