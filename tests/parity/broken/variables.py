"""Variables that the graph writes otherwise."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class _Tracks(keras.layers.Layer):
    """Passes its input on, and keeps its mean in training."""

    def build(self, input_shape):
        self.mean = self.add_weight(
            name="mean", shape=(input_shape[-1],), initializer="zeros", trainable=False
        )
        self.built = True

    def call(self, inputs, training=None):
        if training and self.trainable:
            self.update(tf.reduce_mean(inputs, axis=(0, 1)))
        return inputs


class TracksInEagerMode(_Tracks):
    """Writes its state in eager mode only."""

    def update(self, mean):
        if tf.executing_eagerly():
            self.mean.assign(0.9 * self.mean + 0.1 * mean)


class TracksFasterInGraph(_Tracks):
    """Has another momentum in a graph."""

    def update(self, mean):
        momentum = 0.8 if tf.inside_function() else 0.9
        self.mean.assign(momentum * self.mean + (1.0 - momentum) * mean)


class TracksSums(_Tracks):
    """Adds up in eager mode, and overwrites in the graph."""

    def update(self, mean):
        self.mean.assign(self.mean + mean if hasattr(mean, "numpy") else mean)


BROKEN = [
    broken("variables", TracksInEagerMode, "variables['tracks_in_eager_mode/mean'] is"),
    broken("variables", TracksFasterInGraph, "variables['tracks_faster_in_graph/mean'] is"),
    broken("variables", TracksSums, "variables['tracks_sums/mean'] is"),
]
