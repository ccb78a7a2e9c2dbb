"""Masks of numbers."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import MASK, broken
from tfk_patterns import _keras


class FloatMask(keras.layers.Layer):
    """Passes on the mask as it multiplies with it."""

    def call(self, inputs, mask=None):
        return inputs if mask is None else inputs * tf.cast(mask, inputs.dtype)[:, :, tf.newaxis]

    def compute_mask(self, inputs, mask=None):
        return None if mask is None else keras_cast(mask, "float32")


class MaskOfIds(keras.layers.Layer):
    """Says 1 and 0 for yes and no."""

    def call(self, inputs):
        return inputs + 1.0

    def compute_mask(self, inputs, mask=None):
        return None if mask is None else keras_cast(mask, "int32")


class MaskOfLengths(keras.layers.Layer):
    """Makes a mask of steps that are numbered within their sequence."""

    def call(self, inputs):
        return tf.identity(inputs)

    def compute_mask(self, inputs, mask=None):
        return None if mask is None else keras_cast(mask, "uint8")


def keras_cast(mask, dtype):
    """The one cast that both generations take in `compute_mask`."""
    return keras.ops.cast(mask, dtype) if _keras.GENERATION == 3 else tf.cast(mask, dtype)


BROKEN = [
    broken("mask_dtype", FloatMask, "has dtype float32", mask=MASK),
    broken("mask_dtype", MaskOfIds, "has dtype int32", mask=MASK),
    broken("mask_dtype", MaskOfLengths, "has dtype uint8", mask=MASK),
]
