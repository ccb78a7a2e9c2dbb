"""Layers that count the padding."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import MASK, broken


def as_weights(inputs, mask):
    """One for each valid step, zero for each masked one."""
    if mask is None:
        return tf.ones_like(inputs[:, :, :1])
    return tf.cast(mask, inputs.dtype)[:, :, tf.newaxis]


class MeanOverAllSteps(keras.layers.Layer):
    """Adds up valid steps only, and divides by all."""

    def call(self, inputs, mask=None):
        return tf.reduce_mean(inputs * as_weights(inputs, mask), axis=1)


class ScaledByLength(keras.layers.Layer):
    """Divides by the root of the number of steps."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        return inputs / tf.sqrt(tf.cast(tf.shape(inputs)[1], inputs.dtype))


class RelativePosition(keras.layers.Layer):
    """Adds how far each step is along the padded sequence."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        steps = tf.shape(inputs)[1]
        places = tf.cast(tf.range(steps), inputs.dtype) / tf.cast(steps, inputs.dtype)
        return inputs + places[tf.newaxis, :, tf.newaxis]


class AttentionToZeroedSteps(keras.layers.Layer):
    """Sets masked scores to zero, whose exponential is one."""

    def call(self, inputs, mask=None):
        weights = as_weights(inputs, mask)
        inputs = inputs * weights
        scores = tf.nn.softmax(tf.reduce_sum(inputs, axis=-1, keepdims=True), axis=1)
        return tf.reduce_sum(inputs * scores, axis=1)


class PenaltyPerStep(keras.layers.Layer):
    """Adds up the valid steps, and divides by the number of all."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        self.add_loss(0.1 * tf.reduce_mean(tf.square(inputs) * as_weights(inputs, mask)))
        return tf.identity(inputs)


BROKEN = [
    broken("padding_length", MeanOverAllSteps, "outputs is", mask=MASK),
    broken("padding_length", ScaledByLength, "outputs is", mask=MASK),
    broken("padding_length", RelativePosition, "outputs is", mask=MASK),
    broken("padding_length", AttentionToZeroedSteps, "outputs is", mask=MASK),
    broken("padding_length", PenaltyPerStep, "losses[0] is", mask=MASK),
]
