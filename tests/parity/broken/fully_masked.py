"""NaN and infinity where a sample is masked whole."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import MASK, broken


class _Pooling(keras.layers.Layer):
    """Reduces the steps that the mask allows to one."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        if mask is None:
            mask = tf.ones(tf.shape(inputs)[:2], tf.bool)
        return self.pooled(inputs, mask[..., tf.newaxis])

    def compute_mask(self, inputs, mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])


class MeanOfValid(_Pooling):
    def pooled(self, inputs, mask):
        weights = tf.cast(mask, inputs.dtype)
        values = tf.where(mask, inputs, tf.zeros_like(inputs))
        return tf.reduce_sum(values, axis=1) / tf.reduce_sum(weights, axis=1)


class MaximumOfValid(_Pooling):
    def pooled(self, inputs, mask):
        lowest = tf.constant(float("-inf"), inputs.dtype)
        return tf.reduce_max(tf.where(mask, inputs, lowest), axis=1)


class AttentionOverValid(_Pooling):
    """Attends to the steps, with scores of -inf at the masked ones."""

    def pooled(self, inputs, mask):
        scores = tf.reduce_mean(inputs, axis=-1, keepdims=True)
        scores = tf.where(mask, scores, tf.constant(float("-inf"), inputs.dtype))
        weights = tf.nn.softmax(scores, axis=1)
        values = tf.where(mask, inputs, tf.zeros_like(inputs))
        return tf.reduce_sum(weights * values, axis=1)


class RootMeanSquareOfValid(_Pooling):
    """Finite itself, but its gradient is not: of a root at zero."""

    def pooled(self, inputs, mask):
        weights = tf.cast(mask, inputs.dtype)
        total = tf.reduce_sum(weights * (tf.square(inputs) + 0.1), axis=1)
        return tf.sqrt(total / tf.maximum(tf.reduce_sum(weights, axis=1), 1.0))


BROKEN = [
    broken("fully_masked", MeanOfValid, "outputs is nan at [0, 0] where one sample", mask=MASK),
    broken("fully_masked", MaximumOfValid, "outputs is -inf at [0, 0] where one sample", mask=MASK),
    broken(
        "fully_masked", AttentionOverValid, "outputs is nan at [0, 0] where one sample", mask=MASK
    ),
    broken("fully_masked", RootMeanSquareOfValid, "gradients['inputs'] is", mask=MASK),
]
