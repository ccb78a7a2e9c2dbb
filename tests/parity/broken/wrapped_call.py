"""`tf.function` on a method of the layer that has effects."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class WrappedPenalty(keras.layers.Layer):
    """Adds a loss in a wrapped `call`."""

    @tf.function
    def call(self, inputs):
        self.add_loss(tf.reduce_mean(tf.square(inputs)))
        return inputs * 2.0


class WrappedMetric(keras.layers.Layer):
    """Updates its metric in a wrapped `call`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.size = keras.metrics.Mean(name=f"{self.name}_size")

    @tf.function
    def call(self, inputs):
        self.size.update_state(tf.abs(inputs))
        return inputs * 2.0


class WrappedInTheConstructor(keras.layers.Layer):
    """Wraps itself when it is made, for speed."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.call = tf.function(self.call)

    def call(self, inputs):
        self.add_loss(0.1 * tf.reduce_mean(tf.abs(inputs)))
        return inputs


class HoldsAWrappedLayer(keras.layers.Layer):
    """The layer in it has the wrapped `call`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = WrappedMetric()

    def call(self, inputs):
        return self.inner(inputs) + 1.0


class WrappedHelper(keras.layers.Layer):
    """Wraps a method that `call` calls, for a Python `if` on a tensor."""

    @tf.function
    def penalise(self, inputs):
        norm = tf.norm(inputs)
        if norm > 1.0:
            norm = norm / 2.0
        self.add_loss(norm)
        return inputs

    def call(self, inputs):
        return self.penalise(inputs)


BROKEN = [
    broken("wrapped_call", WrappedPenalty, "`WrappedPenalty.call` is wrapped in tf.function"),
    broken("wrapped_call", WrappedMetric, "/count'] is 0 where", generations=(3,)),
    broken("wrapped_call", WrappedInTheConstructor, "WrappedInTheConstructor.call` is wrapped"),
    broken("wrapped_call", HoldsAWrappedLayer, "`WrappedMetric.call` is", generations=(3,)),
    broken("wrapped_call", WrappedHelper, "`WrappedHelper.penalise` is wrapped in tf.function"),
]
