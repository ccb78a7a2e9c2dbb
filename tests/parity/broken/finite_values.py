"""NaN and infinity at the case's own values, at zeros, at equal values and at large ones."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import INPUTS, broken


class Proportions(keras.layers.Layer):
    """Divides each vector by its sum of magnitudes, which may be zero."""

    def call(self, inputs):
        return inputs / tf.reduce_sum(tf.abs(inputs), axis=-1, keepdims=True)


class StandardDeviation(keras.layers.Layer):
    """Adds the deviation over the features, whose gradient is NaN where they are equal."""

    def call(self, inputs):
        mean = tf.reduce_mean(inputs, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.square(inputs - mean), axis=-1, keepdims=True)
        return inputs + tf.sqrt(variance)


class DistanceToCentre(keras.layers.Layer):
    """Adds the Euclidean norm of each vector, which has no gradient at zero."""

    def call(self, inputs):
        return inputs + tf.norm(inputs, axis=-1, keepdims=True)


class NaiveSoftmax(keras.layers.Layer):
    """A softmax by its definition, which overflows."""

    def call(self, inputs):
        powers = tf.exp(inputs)
        return powers / tf.reduce_sum(powers, axis=-1, keepdims=True)


class NaiveSoftplus(keras.layers.Layer):
    """A softplus by its definition: infinite where the result would be 200."""

    def call(self, inputs):
        return tf.math.log(1.0 + tf.exp(inputs))


class RunningRatio(keras.layers.Layer):
    """Keeps a running ratio of deviation to mean, which is NaN for ever after a batch of zeros."""

    def build(self, input_shape):
        self.ratio = self.add_weight(name="ratio", shape=(3,), initializer="zeros", trainable=False)
        self.built = True

    def call(self, inputs, training=None):
        if training and self.trainable:
            size = tf.reduce_mean(tf.abs(inputs), axis=[0, 1])
            ratio = tf.stop_gradient(tf.reduce_max(tf.abs(inputs), axis=[0, 1]) / size)
            old = tf.convert_to_tensor(self.ratio)
            new = 0.9 * tf.cast(old, ratio.dtype) + 0.1 * ratio
            self.ratio.assign(tf.cast(new, self.ratio.dtype))
        return inputs


class LogarithmOfCounts(keras.layers.Layer):
    """Some of the counts are zero."""

    def call(self, inputs):
        return tf.math.log(inputs)


class LearnedReciprocal(keras.layers.Layer):
    """Takes a learned multiple of the reciprocals, of which that of zero is infinite."""

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones")
        self.built = True

    def call(self, inputs):
        return 1.0 / inputs * tf.convert_to_tensor(self.scale)


class LogarithmicPenalty(keras.layers.Layer):
    """Its loss is infinite where a count is zero, though its outputs are not."""

    def call(self, inputs):
        self.add_loss(-tf.reduce_mean(tf.math.log(inputs)))
        return tf.identity(inputs)


class RootOfCounts(keras.layers.Layer):
    """The root of zero is finite, and its gradient is not."""

    def call(self, inputs):
        return tf.sqrt(inputs)


COUNTS = np.round(np.abs(2 * INPUTS)).astype("float32")

BROKEN = [
    broken("finite_values", Proportions, "outputs is nan at [0, 0, 0] where the inputs are zeros"),
    broken("finite_values", StandardDeviation, "gradients['inputs'] is nan"),
    broken("finite_values", DistanceToCentre, "gradients['inputs'] is nan"),
    broken("finite_values", NaiveSoftmax, "where the inputs are values up to 200"),
    broken("finite_values", NaiveSoftplus, "outputs is inf"),
    broken("finite_values", RunningRatio, "running_ratio/ratio'] is nan"),
    broken("finite_values", LogarithmOfCounts, "outputs is -inf", COUNTS),
    broken("finite_values", LearnedReciprocal, "outputs is inf", COUNTS),
    broken("finite_values", LogarithmicPenalty, "losses[0] is inf", COUNTS),
    broken("finite_values", RootOfCounts, "gradients['inputs'] is inf", COUNTS),
]
