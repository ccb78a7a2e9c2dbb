"""Losses that depend on the mode."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class PenaltyInEagerMode(keras.layers.Layer):
    """Adds its penalty in eager mode only."""

    def call(self, inputs):
        if tf.executing_eagerly():
            self.add_loss(tf.reduce_mean(tf.square(inputs)))
        return inputs


class WeakerInGraph(keras.layers.Layer):
    """Penalises less in a graph."""

    def call(self, inputs):
        factor = 0.1 if tf.inside_function() else 0.2
        self.add_loss(factor * tf.reduce_mean(tf.abs(inputs)))
        return inputs


class PenaltyOfValues(keras.layers.Layer):
    """Leaves out the largest element where it can read values."""

    def call(self, inputs):
        squares = tf.square(inputs)
        if hasattr(inputs, "numpy"):
            squares = tf.minimum(squares, tf.reduce_max(squares) * 0.5)
        self.add_loss(0.1 * tf.reduce_mean(squares))
        return inputs


BROKEN = [
    broken("losses", PenaltyInEagerMode, "gives losses[0]"),
    broken("losses", WeakerInGraph, "losses[0] is"),
    broken("losses", PenaltyOfValues, "losses[0] is"),
]
