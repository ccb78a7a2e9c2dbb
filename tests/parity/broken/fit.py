"""Training that the compiled step changes, later than three calls show."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class _CountsSteps(keras.layers.Layer):
    """Counts its training steps in a weight."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.steps = self.add_weight(
            name="steps", shape=(), initializer="zeros", trainable=False, dtype="float32"
        )

    def late(self):
        """One after three training steps, else zero."""
        return tf.cast(tf.convert_to_tensor(self.steps) > 3.0, "float32")

    def count(self, training):
        if training and self.trainable:
            self.steps.assign_add(1.0)


class LateScaleInEagerMode(_CountsSteps):
    """Scales its output after three steps, in eager mode only."""

    def call(self, inputs, training=None):
        self.count(training)
        factor = self.late() if training and tf.executing_eagerly() else 0.0
        return inputs * tf.cast(1.0 + factor, inputs.dtype)


class LatePenalty(_CountsSteps):
    """Penalises after three steps, and less so in a graph."""

    def call(self, inputs, training=None):
        self.count(training)
        factor = 0.1 if tf.inside_function() else 0.2
        if training:
            self.add_loss(factor * self.late() * tf.reduce_mean(tf.cast(inputs**2, "float32")))
        return inputs


class LateReset(_CountsSteps):
    """Starts to count anew after three steps, where it can read values."""

    def call(self, inputs, training=None):
        self.count(training)
        if training and self.trainable and hasattr(inputs, "numpy"):
            self.steps.assign(tf.cast(self.steps, "float32") * (1.0 - self.late()))
        return inputs


BROKEN = [
    broken("fit", LateScaleInEagerMode, "step_losses is"),
    broken("fit", LatePenalty, "step_losses is"),
    broken("fit", LateReset, "steps'] is 4"),
]
