"""Random numbers that the graph draws once."""

import random

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class NumPyNoise(keras.layers.Layer):
    """Adds noise from NumPy in training."""

    def call(self, inputs, training=None):
        if training:
            return inputs + np.random.normal(size=inputs.shape).astype("float32")
        return inputs


class PythonDropPath(keras.layers.Layer):
    """Scales the whole batch by a Python random number in training."""

    def call(self, inputs, training=None):
        return inputs * random.uniform(0.5, 1.5) if training else inputs


class RandomDepth(keras.layers.Layer):
    """Skips its transformation now and then in training."""

    def call(self, inputs, training=None):
        if training and random.random() < 0.2:
            return inputs
        return inputs + tf.tanh(inputs)


class OwnGenerator(keras.layers.Layer):
    """Masks with a NumPy generator of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.rng = np.random.default_rng(1)

    def call(self, inputs, training=None):
        if training:
            return inputs * self.rng.integers(0, 2, size=inputs.shape[1:]).astype("float32")
        return inputs


class CountedSeed(keras.layers.Layer):
    """Draws by a stateless op, with a seed that it counts up in Python."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed = 0

    def call(self, inputs, training=None):
        if not training:
            return inputs
        self.seed += 1
        return inputs + tf.random.stateless_normal(tf.shape(inputs), seed=[self.seed, 0])


class GeneratorWithoutSeed(keras.layers.Layer):
    """Makes a new generator in each call."""

    def call(self, inputs, training=None):
        if training:
            return inputs + np.random.default_rng().normal(size=inputs.shape).astype("float32")
        return inputs


class ConstantSeed(keras.layers.Layer):
    """Drops the same elements in every step."""

    def call(self, inputs, training=None):
        if training:
            return tf.nn.experimental.stateless_dropout(inputs, 0.5, seed=[1, 2])
        return inputs


BROKEN = [
    broken("frozen_randomness", NumPyNoise, "`np.random` is drawn from in `call`"),
    broken("frozen_randomness", PythonDropPath, "`random` is drawn from in `call`"),
    broken("frozen_randomness", RandomDepth, "`random` is drawn from in `call`"),
    broken("frozen_randomness", OwnGenerator, "`self.rng` is drawn from in `call`"),
    broken("frozen_randomness", CountedSeed, "a seed is a Python number that changes"),
    broken("frozen_randomness", GeneratorWithoutSeed, "`call` draws where no seed reaches"),
    broken("frozen_randomness", ConstantSeed, "the seed of a random operation is a constant"),
]
