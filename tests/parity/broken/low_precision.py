"""Results that half precision spoils."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import MASK, broken


class FourthPowers(keras.layers.Layer):
    """Weighs by fourth powers, which are beyond float16 though the weights are at most 1."""

    def call(self, inputs):
        powers = tf.square(tf.square(inputs))
        return powers / (tf.reduce_sum(powers, axis=-1, keepdims=True) + 1e-3)


class TinyEpsilon(keras.layers.Layer):
    """Is safe at zero in float32; in float16 the epsilon is itself zero."""

    def call(self, inputs):
        total = tf.reduce_sum(tf.abs(inputs), axis=-1, keepdims=True)
        return inputs / (total + 1e-9)


class SubtractedMask(keras.layers.Layer):
    """Softmax over the valid steps, by a number that float16 takes for infinity."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        if mask is not None:
            padding = 1.0 - tf.cast(mask, inputs.dtype)[..., tf.newaxis]
            inputs = inputs + padding * tf.cast(-1e9, inputs.dtype)
        return tf.nn.softmax(inputs, axis=1)


class OffsetDifference(keras.layers.Layer):
    """Adds a large offset before it takes differences, and the digits are gone."""

    def call(self, inputs):
        times = 1000.0 + tf.cumsum(tf.abs(inputs), axis=1)
        return times[:, 1:] - times[:, :-1]

    def compute_output_shape(self, input_shape):
        steps = None if input_shape[1] is None else input_shape[1] - 1
        return (input_shape[0], steps, *input_shape[2:])


BROKEN = [
    broken("low_precision", FourthPowers, "outputs is nan"),
    broken("low_precision", TinyEpsilon, "outputs is nan at [0, 0, 0] where float32 gives 0"),
    broken("low_precision", SubtractedMask, "outputs is nan", mask=MASK),
    broken("low_precision", OffsetDifference, "where float32 gives"),
]
