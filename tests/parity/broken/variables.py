"""Variables that the graph writes otherwise."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class RunningMean(keras.layers.Layer):
    """Keeps a running mean, with the number of batches seen in a Python attribute."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.batches = 0

    def build(self, input_shape):
        self.mean = self.add_weight(
            name="mean", shape=(input_shape[-1],), initializer="zeros", trainable=False
        )
        self.built = True

    def call(self, inputs, training=None):
        self.batches += 1
        batch_mean = tf.reduce_mean(inputs, axis=(0, 1))
        self.mean.assign(self.mean + (batch_mean * self.batches - self.mean) / self.batches)
        return inputs


BROKEN = [broken("variables", RunningMean, "variables['running_mean/mean'] is")]
