"""Layers that let samples meet in inference."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class SoftmaxOverBatch(keras.layers.Layer):
    """Meant to weigh the steps, and weighs the samples."""

    def call(self, inputs):
        return inputs * tf.nn.softmax(tf.reduce_sum(inputs, axis=-1, keepdims=True), axis=0)


class AlwaysBatchStatistics(keras.layers.Layer):
    """Normalises with the statistics of the batch, in inference too."""

    def call(self, inputs):
        mean, variance = tf.nn.moments(inputs, axes=[0, 1])
        return (inputs - mean) / tf.sqrt(variance + 1e-3)


class RunningTotal(keras.layers.Layer):
    """Adds up over samples where it should over steps."""

    def call(self, inputs):
        return tf.cumsum(inputs, axis=0)


class HeadsMixedUp(keras.layers.Layer):
    """Splits the features by a reshape that should have been followed by a transposition."""

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones")
        self.built = True

    def call(self, inputs):
        steps, features = tf.shape(inputs)[1], inputs.shape[-1]
        scaled = inputs * tf.convert_to_tensor(self.scale)
        by_step = tf.reshape(scaled, (steps, -1, features))
        return inputs + tf.transpose(by_step, (1, 0, 2))


BROKEN = [
    broken("batch_independence", SoftmaxOverBatch, "where the whole batch gives"),
    broken("batch_independence", AlwaysBatchStatistics, "where the whole batch gives"),
    broken("batch_independence", RunningTotal, "where the whole batch gives"),
    broken("batch_independence", HeadsMixedUp, "where the whole batch gives"),
]
