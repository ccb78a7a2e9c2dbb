"""Layers that learn although they are frozen."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class MovesThoughFrozen(keras.layers.Layer):
    """Standardises by moving statistics, frozen or not."""

    def build(self, input_shape):
        self.mean = self.add_weight(
            name="mean", shape=(input_shape[-1],), initializer="zeros", trainable=False
        )
        self.built = True

    def call(self, inputs, training=None):
        if training:
            batch_mean = tf.reduce_mean(inputs, axis=(0, 1))
            mean = 0.9 * tf.convert_to_tensor(self.mean) + 0.1 * batch_mean
            self.mean.assign(tf.cast(mean, self.mean.dtype))
        return inputs - self.mean


class WakesUpInBuild(keras.layers.Layer):
    """Makes itself trainable when it is built."""

    def build(self, input_shape):
        self.trainable = True
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones")
        self.built = True

    def call(self, inputs):
        return inputs * self.scale


class ListsItsOwnWeights(keras.layers.Layer):
    """Overrides the list of trainable weights."""

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones")
        self.built = True

    @property
    def trainable_weights(self):
        """Always the same."""
        return [self.scale] if self.built else []

    @property
    def trainable_variables(self):
        """Always the same."""
        return self.trainable_weights

    def call(self, inputs):
        return inputs * self.scale


class StaysFrozen(keras.layers.Layer):
    """Makes its weight as trainable as the layer is when it is built."""

    def build(self, input_shape):
        self.scale = self.add_weight(
            name="scale",
            shape=(input_shape[-1],),
            initializer="ones",
            trainable=self.trainable,
        )
        self.built = True

    def call(self, inputs):
        return inputs * self.scale


class ShrinksItsWeight(keras.layers.Layer):
    """Decays its weight by hand in training, frozen or not."""

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones")
        self.built = True

    def call(self, inputs, training=None):
        if training:
            scale = 0.99 * tf.convert_to_tensor(self.scale)
            self.scale.assign(tf.cast(scale, self.scale.dtype))
        return inputs * self.scale


class FreezesOnlyItself(keras.layers.Layer):
    """Defines `trainable` for itself, and not for the layer in it."""

    def __init__(self, **kwargs):
        self.learns = kwargs.get("trainable", True)
        super().__init__(**kwargs)
        self.normalize = keras.layers.BatchNormalization()

    def build(self, input_shape):
        self.normalize.build(input_shape)
        self.built = True

    @property
    def trainable(self):
        """Whether it learns."""
        return self.learns

    @trainable.setter
    def trainable(self, value):
        self.learns = value

    def call(self, inputs, training=None):
        return self.normalize(inputs, training=training)


BROKEN = [
    broken("frozen_state", FreezesOnlyItself, "moving_mean is"),
    broken("frozen_state", MovesThoughFrozen, "moves_though_frozen/mean is"),
    broken("frozen_state", WakesUpInBuild, "still has trainable weights: wakes_up_in_build/scale"),
    broken("frozen_state", ListsItsOwnWeights, "still has trainable weights"),
    broken("frozen_state", StaysFrozen, "not trainable any more"),
    broken("frozen_state", ShrinksItsWeight, "shrinks_its_weight/scale is"),
]
