"""Predictions that change the model."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class CountsEveryCall(keras.layers.Layer):
    """Counts its calls, predictions too."""

    def build(self, input_shape):
        self.steps = self.add_weight(
            name="steps", shape=(), dtype="int64", initializer="zeros", trainable=False
        )
        self.built = True

    def call(self, inputs):
        self.steps.assign_add(1)
        return inputs


class AlwaysMovesItsMean(keras.layers.Layer):
    """Centres by a moving mean, which predictions move as well."""

    def build(self, input_shape):
        self.mean = self.add_weight(
            name="mean", shape=(input_shape[-1],), initializer="zeros", trainable=False
        )
        self.built = True

    def call(self, inputs, training=None):
        outputs = inputs - self.mean
        if self.trainable:
            batch_mean = tf.reduce_mean(inputs, axis=(0, 1))
            mean = 0.99 * tf.convert_to_tensor(self.mean) + 0.01 * batch_mean
            self.mean.assign(tf.cast(mean, self.mean.dtype))
        return outputs


class LiteralBatchNormalization(keras.layers.Layer):
    """Calls batch normalization as in training."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.normalize = keras.layers.BatchNormalization()

    def build(self, input_shape):
        self.normalize.build(input_shape)
        self.built = True

    def call(self, inputs, training=None):
        return 0.5 * self.normalize(inputs) + 0.0 * self.normalize(inputs, training=True)


class RemembersTheLargest(keras.layers.Layer):
    """Notes the largest magnitude seen, to be looked at."""

    def build(self, input_shape):
        self.largest = self.add_weight(
            name="largest", shape=(), initializer="zeros", trainable=False
        )
        self.built = True

    def call(self, inputs, training=None):
        if self.trainable:
            largest = tf.maximum(tf.convert_to_tensor(self.largest), tf.reduce_max(tf.abs(inputs)))
            self.largest.assign(tf.cast(largest, self.largest.dtype))
        return inputs


BROKEN = [
    broken("inference_state", CountsEveryCall, "counts_every_call/steps is"),
    broken("inference_state", AlwaysMovesItsMean, "always_moves_its_mean/mean is"),
    broken("inference_state", LiteralBatchNormalization, "moving_mean is"),
    broken("inference_state", RemembersTheLargest, "remembers_the_largest/largest is"),
]
