"""Trainable weights that no gradient reaches, in a mode or in all."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class PythonTemperature(keras.layers.Layer):
    """Divides by a learned temperature, which the function run by py_function captures."""

    def build(self, input_shape):
        self.temperature = self.add_weight(name="temperature", shape=(), initializer="ones")
        self.built = True

    def call(self, inputs):
        scaled = tf.py_function(self._scale, [inputs], inputs.dtype)
        return tf.ensure_shape(scaled, inputs.shape)

    def _scale(self, inputs):
        return inputs / tf.cast(tf.convert_to_tensor(self.temperature), inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


class ForgottenGate(keras.layers.Layer):
    """Makes a gate and a projection, and returns the projection alone."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.projection = keras.layers.Dense(units)
        self.gate = keras.layers.Dense(units, activation="sigmoid")

    def build(self, input_shape):
        self.projection.build(input_shape)
        self.gate.build(input_shape)
        self.built = True

    def call(self, inputs):
        return self.projection(inputs)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class FixedInTraining(keras.layers.Layer):
    """Warps by a learned exponent, which it protects in training instead of in inference."""

    def build(self, input_shape):
        self.exponent = self.add_weight(name="exponent", shape=(3,), initializer="ones")
        self.built = True

    def call(self, inputs, training=None):
        exponent = tf.convert_to_tensor(self.exponent)
        if training:
            exponent = tf.stop_gradient(exponent)
        return tf.tanh(inputs) * exponent


class ChosenLevel(keras.layers.Layer):
    """Adds the level that fits best, found by argmax over learned ones."""

    def build(self, input_shape):
        self.levels = self.add_weight(name="levels", shape=(4,), initializer="ones")
        self.built = True

    def call(self, inputs):
        scores = tf.reduce_mean(inputs, axis=[1, 2])[:, tf.newaxis] * tf.convert_to_tensor(
            self.levels
        )
        chosen = tf.argmax(scores, axis=-1)  # an integer, through which nothing flows back
        return inputs + tf.cast(chosen, inputs.dtype)[:, tf.newaxis, tf.newaxis]


class BinaryKernel(keras.layers.Layer):
    """Multiplies by the signs of its kernel, of which no gradient comes back."""

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], 4))
        self.bias = self.add_weight(name="bias", shape=(4,), initializer="zeros")
        self.built = True

    def call(self, inputs):
        signs = tf.sign(tf.convert_to_tensor(self.kernel))
        return tf.tensordot(inputs, signs, axes=1) + self.bias


BROKEN = [
    broken("weights_learn", BinaryKernel, "is zero, at other weights and inputs too"),
    broken("weights_learn", PythonTemperature, "python_temperature/temperature` "),
    broken("weights_learn", ForgottenGate, "gets no gradient in any mode", units=2),
    broken("weights_learn", FixedInTraining, "gets no gradient in training, but one in inference"),
    broken("weights_learn", ChosenLevel, "gets no gradient in any mode"),
]
