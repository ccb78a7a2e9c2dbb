"""Dtypes of masks."""

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.masks import output_masks
from tfk_patterns.parity.outcome import Failure

_HINT = "Masks are boolean: end `compute_mask` with a comparison, or with a cast to bool."


@define_check(
    follows=("outputs", "masks", "eager_only", "mask_shape"),
    link="https://keras.io/guides/understanding_masking_and_padding/",
    fast=True,
)
def mask_dtype(subject):
    """The mask on an output is boolean, in functional models too.

    Bug: A mask of numbers works in a product, and raises where a later layer joins it with a
    boolean one, by `Concatenate` or a logical op. That layer is blamed, not the one that made the
    mask (https://github.com/keras-team/keras/issues/5867).

    Broken::

        class FlaggedSteps(keras.layers.Layer):
            def call(self, inputs):
                return inputs[:, :, 1:]  # the first feature is a flag, 0 for padding

            def compute_mask(self, inputs, mask=None):
                return inputs[:, :, 0]


        case = LayerCase(FlaggedSteps, steps)

    Mended::

        class FlaggedSteps(keras.layers.Layer):
            def call(self, inputs):
                return inputs[:, :, 1:]

            def compute_mask(self, inputs, mask=None):
                return inputs[:, :, 0] != 0.0


        case = LayerCase(FlaggedSteps, steps)
    """
    for where, masks in output_masks.masks_in_modes(subject):
        for name, (_, mask) in masks.items():
            if mask is not None and mask.dtype != bool:
                raise Failure(
                    f"the mask of {name} has dtype {mask.dtype}", f"{where}: {name}", _HINT
                )
