"""Chance where there should be none."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class AlwaysNoisy(keras.layers.Layer):
    """Adds noise in inference too."""

    def __init__(self, stddev=0.1, **kwargs):
        super().__init__(**kwargs)
        self.stddev = stddev

    def call(self, inputs):
        noise = tf.random.normal(tf.shape(inputs), stddev=self.stddev, dtype=inputs.dtype)
        return inputs + noise

    def get_config(self):
        return {**super().get_config(), "stddev": self.stddev}


class LiteralDropout(keras.layers.Layer):
    """Calls dropout as in training."""

    def __init__(self, rate=0.4, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.dropout = keras.layers.Dropout(rate)

    def build(self, input_shape):
        self.dropout.build(input_shape)
        self.built = True

    def call(self, inputs):
        return self.dropout(inputs, training=True)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


class SampledPenalty(keras.layers.Layer):
    """Penalises some of the steps, drawn anew in each call."""

    def __init__(self, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed

    def build(self, input_shape):
        self.draws = self.add_weight(
            name="draws", shape=(), dtype="int32", initializer="zeros", trainable=False
        )
        self.built = True

    def call(self, inputs):
        draws = tf.convert_to_tensor(self.draws)
        self.draws.assign_add(1)
        seed = tf.stack([self.seed, draws])
        weights = tf.random.stateless_uniform(tf.shape(inputs), seed, dtype=inputs.dtype)
        self.add_loss(tf.reduce_mean(weights * tf.square(inputs)))
        return inputs

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


BROKEN = [
    broken("random_inference", AlwaysNoisy, "outputs of call 2 differs"),
    broken("random_inference", LiteralDropout, "outputs of call 2 differs"),
    broken("random_inference", SampledPenalty, "losses[0] of call 2 differs"),
]
