"""Masks: `True` where a step is valid, on the leading axes of the tensor they belong to."""

import numpy as np
import tensorflow as tf

from tfk_patterns import _validate


def check_mask(mask, inputs_shape, rank: int | None = None) -> None:
    """Raises unless `mask` is `None`, or boolean and on the leading axes of the inputs.

    Args:
        mask: The mask, or `None`.
        inputs_shape: The shape of the inputs.
        rank: How many axes it must have, where not any number will do.

    Works on anything with a dtype and a shape, so also on symbolic masks.

    Raises:
        TypeError: The mask is not boolean.
        ValueError: It has as many axes as the inputs or more, or other sizes.
    """
    if mask is None:
        return
    if not hasattr(mask, "dtype"):
        raise _validate.type_error("mask", "a boolean tensor or array", mask)
    if tf.as_dtype(mask.dtype) != tf.bool:
        raise TypeError(
            "`mask` must be boolean, True where a step is valid: cast it with "
            f"tf.cast(mask, tf.bool). Received: mask of dtype {tf.as_dtype(mask.dtype).name}"
        )
    mask_shape, inputs_shape = tf.TensorShape(mask.shape), tf.TensorShape(inputs_shape)
    if mask_shape.rank is None or inputs_shape.rank is None:
        return
    leading = inputs_shape[: mask_shape.rank]
    fits = mask_shape.rank == rank if rank else 0 < mask_shape.rank < inputs_shape.rank
    if not fits or not mask_shape.is_compatible_with(leading):
        raise ValueError(
            "`mask` must have the sizes of the inputs' leading axes, (batch, steps) for inputs "
            f"of (batch, steps, features). Received: mask of shape {tuple(mask_shape)} for "
            f"inputs of shape {tuple(inputs_shape)}"
        )


def as_checked_mask(mask, inputs, rank: int | None = None) -> tf.Tensor | None:
    """The mask as a boolean tensor, or `None`; arrays are taken too."""
    if mask is not None:
        check_mask(mask, inputs.shape, rank)
        mask = tf.convert_to_tensor(mask)
    return mask


def joint_mask(mask):
    """One mask of those that several inputs may have."""
    if not isinstance(mask, list | tuple):
        return mask
    if len(mask) != 2:
        raise _validate.value_error("mask", "one mask, or a list of two", mask)
    there = [one for one in mask if one is not None]
    if len(there) < 2 or there[0] is there[1]:
        return there[0] if there else None
    return there[0] & there[1]


def passed_on(mask, inputs, rank: int | None = None):
    """The mask as `compute_mask` returns it: checked, symbolic as it is, an array as a tensor."""
    check_mask(mask, inputs.shape, rank)
    return tf.convert_to_tensor(mask) if isinstance(mask, np.ndarray) else mask


def expand_mask(mask, rank: int) -> tf.Tensor:
    """A mask, or weights, with axes of size 1 at the end, to broadcast against that many axes."""
    for _ in range(rank - mask.shape.rank):
        mask = mask[..., tf.newaxis]
    return mask


def zero_masked(inputs, mask) -> tf.Tensor:
    """The inputs with zeros in the masked steps, whatever stood there, NaN included."""
    if mask is None:
        return inputs
    shape = tf.shape(inputs)
    rows = tf.reshape(inputs, tf.concat([[tf.size(mask)], shape[mask.shape.rank :]], axis=0))
    # The older operation takes whole rows; the newer one broadcasts, at half the speed.
    kept = tf.compat.v1.where(tf.reshape(mask, [-1]), rows, tf.zeros_like(rows))
    return tf.ensure_shape(tf.reshape(kept, shape), inputs.shape)
