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
    """The mask on an output has the leading axes of that output, in functional models too."""
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
