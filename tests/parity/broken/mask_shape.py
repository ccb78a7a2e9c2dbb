"""Masks that do not fit their outputs."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import MASK, broken


class PooledWithOldMask(keras.layers.Layer):
    """Halves the steps, and passes on the mask of all of them."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        return inputs[:, ::2]


class LastStepWithMask(keras.layers.Layer):
    """Uses the mask up, and passes it on all the same."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        if mask is None:
            return inputs[:, -1]
        weights = tf.cast(mask[:, :, tf.newaxis], inputs.dtype)
        total = tf.maximum(tf.reduce_sum(weights, axis=1), 1.0)
        return tf.reduce_sum(inputs * weights, axis=1) / total


class MaskWithFeatureAxis(keras.layers.Layer):
    """Returns the mask in the shape that its own arithmetic needs."""

    def call(self, inputs):
        return inputs * 0.5

    def compute_mask(self, inputs, mask=None):
        return None if mask is None else mask[:, :, tf.newaxis]


class MaskByTensorFlow(keras.layers.Layer):
    """Computes a right mask with a tf op, which Keras 3 hands a symbolic tensor."""

    def call(self, inputs):
        return tf.concat([inputs, inputs], axis=1)

    def compute_mask(self, inputs, mask=None):
        return None if mask is None else tf.concat([mask, mask], axis=1)


BROKEN = [
    broken(
        "mask_shape", PooledWithOldMask, "has shape (4, 5), and outputs has (4, 3, 3)", mask=MASK
    ),
    broken("mask_shape", LastStepWithMask, "has shape (4, 5), and outputs has (4, 3)", mask=MASK),
    broken("mask_shape", MaskWithFeatureAxis, "has shape (4, 5, 1)", mask=MASK),
    broken("mask_shape", MaskByTensorFlow, "symbolic", mask=MASK, generations=(3,)),
]
