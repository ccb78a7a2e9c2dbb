"""Functions traced in each call."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class MakesAFunction(keras.layers.Layer):
    """Makes a function in each call."""

    def call(self, inputs):
        @tf.function
        def scaled(x):
            return x * 2.0

        return scaled(inputs)


class WrapsALambda(keras.layers.Layer):
    """Wraps its activation in each call, to make it fast."""

    def call(self, inputs):
        return tf.function(lambda x: tf.nn.gelu(x))(inputs)


class _Options:
    """Options of the helper below."""

    scale = 2.0


class NewOptions(keras.layers.Layer):
    """Passes a new object in each call."""

    @tf.function
    def scaled(self, inputs, options):
        return inputs * options.scale

    def call(self, inputs):
        return self.scaled(inputs, _Options())


@tf.function
def _activated(inputs, activation):
    return activation(inputs)


class NewLambda(keras.layers.Layer):
    """Passes a new function to a helper of the module in each call."""

    def call(self, inputs):
        return _activated(inputs, lambda x: tf.nn.relu(x) + 1.0)


class PassesItsCount(keras.layers.Layer):
    """Passes a Python number that is another one in each call."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = 0

    @tf.function
    def scaled(self, inputs, count):
        return inputs / float(count)

    def call(self, inputs):
        self.calls += 1
        return self.scaled(inputs, self.calls)


BROKEN = [
    broken("retracing", PassesItsCount, "its argument `count` is "),
    broken("retracing", MakesAFunction, "a new tf.function is made, and traced, in each call"),
    broken("retracing", WrapsALambda, "a new tf.function is made, and traced, in each call"),
    broken("retracing", NewOptions, "its argument `options` is a new Python object"),
    broken("retracing", NewLambda, "its argument `activation` is a new Python object"),
]
