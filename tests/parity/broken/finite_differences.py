"""Gradients that are not those of what the layer computes."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


@tf.custom_gradient
def square_without_upstream(x):
    return tf.square(x), lambda upstream: 2.0 * x + 0.0 * upstream


class SquareWithoutUpstream(keras.layers.Layer):
    """Squares; the gradient forgets what comes from above."""

    def call(self, inputs):
        return square_without_upstream(inputs)


class ScaledSoftsign(keras.layers.Layer):
    """A learned softsign with the derivative of another formula."""

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=(3,), initializer="ones")
        self.built = True

    def call(self, inputs):
        return _softsign(inputs, tf.convert_to_tensor(self.scale))


@tf.custom_gradient
def _softsign(x, scale):
    bottom = 1.0 + tf.abs(x)

    def gradient(upstream):
        by_scale = tf.reduce_sum(upstream * x / bottom, axis=[0, 1])
        return upstream * scale / bottom, by_scale  # and not the square of it

    return scale * x / bottom, gradient


@tf.custom_gradient
def _exact_in_inference_only(x):
    return tf.exp(-tf.square(x)), lambda upstream: -x * upstream * tf.exp(-tf.square(x))


class GaussianInTraining(keras.layers.Layer):
    """A Gaussian bump, whose fast version for training has a gradient of half the size."""

    def call(self, inputs, training=None):
        if training:
            return _exact_in_inference_only(inputs)
        return tf.exp(-tf.square(inputs))


class NumpyEnvelope(keras.layers.Layer):
    """The running maximum along the steps, computed in NumPy: nothing flows back to the input."""

    def call(self, inputs):
        envelope = tf.numpy_function(self._envelope, [inputs], inputs.dtype)
        return tf.ensure_shape(envelope, inputs.shape)

    def _envelope(self, inputs):
        return np.maximum.accumulate(inputs, axis=1)

    def compute_output_shape(self, input_shape):
        return input_shape


BROKEN = [
    broken("finite_differences", SquareWithoutUpstream, "the gradient by inputs is"),
    broken("finite_differences", ScaledSoftsign, "the gradient by inputs is"),
    broken("finite_differences", GaussianInTraining, "the gradient by inputs is"),
    broken("finite_differences", NumpyEnvelope, "the gradient by inputs is 0 where"),
]
