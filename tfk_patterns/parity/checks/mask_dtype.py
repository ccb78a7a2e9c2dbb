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
    """The mask on an output is boolean, in functional models too."""
    for where, masks in output_masks.masks_in_modes(subject):
        for name, (_, mask) in masks.items():
            if mask is not None and mask.dtype != bool:
                raise Failure(
                    f"the mask of {name} has dtype {mask.dtype}", f"{where}: {name}", _HINT
                )
