"""What no graph can hold."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class ReadsValues(keras.layers.Layer):
    """Scales by a number that it reads from its input."""

    def call(self, inputs):
        return inputs * float(np.max(inputs.numpy()))


class SortsInNumPy(keras.layers.Layer):
    """Leaves TensorFlow for NumPy."""

    def call(self, inputs):
        return tf.convert_to_tensor(np.sort(np.asarray(inputs), axis=1))


class ConvertsToFloat(keras.layers.Layer):
    """Makes a Python number of a tensor."""

    def call(self, inputs, training=None):
        if training:
            return inputs / (1.0 + float(tf.reduce_max(tf.abs(inputs))))
        return inputs


class ChoosesByValue(keras.layers.Layer):
    """A Python `if` on a tensor, which Keras 3 does not convert."""

    def call(self, inputs):
        if tf.reduce_mean(inputs) > 0:
            return inputs
        return -inputs


class LoopsOverSteps(keras.layers.Layer):
    """A Python `for` over a tensor, which Keras 3 does not convert."""

    def call(self, inputs):
        total = tf.zeros_like(inputs[:, 0])
        for step in tf.transpose(inputs, [1, 0, 2]):
            total = 0.5 * total + step
        return total


class MakesLayerInCall(keras.layers.Layer):
    """Makes the layer that it uses anew in each call."""

    def call(self, inputs):
        return keras.layers.Dense(3)(inputs)


BROKEN = [
    broken("eager_only", ReadsValues, "`call` cannot be traced: AttributeError"),
    broken("eager_only", SortsInNumPy, "`call` cannot be traced: NotImplementedError"),
    broken("eager_only", ConvertsToFloat, "`call` cannot be traced: TypeError", generations=(3,)),
    broken("eager_only", ChoosesByValue, "`call` cannot be traced", generations=(3,)),
    broken("eager_only", LoopsOverSteps, "`call` cannot be traced", generations=(3,)),
    broken("eager_only", MakesLayerInCall, "singleton tf.Variables"),
]
