"""Layers of which a functional model has a wrong idea."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class WrongComputedShape(keras.layers.Layer):
    """Pools over the steps, and says that it keeps them."""

    def call(self, inputs):
        return tf.reduce_max(inputs, axis=1)

    def compute_output_shape(self, input_shape):
        return input_shape


class HalvedSteps(keras.layers.Layer):
    """Rounds up where it says that it rounds down."""

    def call(self, inputs):
        return inputs[:, ::2]

    def compute_output_shape(self, input_shape):
        steps = None if input_shape[1] is None else input_shape[1] // 2
        return (input_shape[0], steps, input_shape[2])


class LongestStep(keras.layers.Layer):
    """Returns integers; Keras 3 takes them for floats, as the shape is all it is told."""

    def call(self, inputs):
        return tf.argmax(inputs, axis=-1, output_type=tf.int32)

    def compute_output_shape(self, input_shape):
        return input_shape[:-1]


class FixedSteps(keras.layers.Layer):
    """Has a shape right for the steps that it was written for."""

    def call(self, inputs):
        return inputs * 2.0

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 5, input_shape[2])


class ForgottenOutput(keras.layers.Layer):
    """Returns two tensors, and says the shape of one."""

    def call(self, inputs):
        return inputs, tf.reduce_sum(inputs, axis=1)

    def compute_output_shape(self, input_shape):
        return input_shape


class CountsElements(keras.layers.Layer):
    """Its `compute_output_shape` multiplies by the unknown batch size."""

    def call(self, inputs):
        return tf.reshape(inputs, (-1, inputs.shape[-1]))

    def compute_output_shape(self, input_shape):
        return (input_shape[0] * input_shape[1], input_shape[2])


BROKEN = [
    broken("symbolic_shape", WrongComputedShape, "and really (4, 3)"),
    broken("symbolic_shape", HalvedSteps, "and really (4, 3, 3)"),
    broken("symbolic_shape", LongestStep, "has dtype float32 in a", generations=(3,)),
    broken("symbolic_shape", FixedSteps, "has shape (None, 5, 3)"),
    broken("symbolic_shape", ForgottenOutput, "outputs"),
    broken("symbolic_shape", CountsElements, "cannot be called"),
]
