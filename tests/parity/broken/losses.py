"""Losses that the graph freezes."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class KLWarmUp(keras.layers.Layer):
    """Warms its penalty up by a Python number."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.beta = 0.0

    def call(self, inputs):
        self.beta = min(1.0, self.beta + 0.1)
        self.add_loss(self.beta * tf.reduce_mean(tf.square(inputs)))
        return inputs


BROKEN = [broken("losses", KLWarmUp, "losses[0] is")]
