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


class WrappedCounter(keras.layers.Layer):
    """Counts its calls in a weight, in a wrapped `call`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = self.add_weight(
            name="calls", shape=(), initializer="zeros", trainable=False, dtype="float32"
        )

    @tf.function
    def call(self, inputs):
        self.calls.assign_add(1.0)
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
    """Wraps itself when it is made."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.total = self.add_weight(
            name="total", shape=(), initializer="zeros", trainable=False, dtype="float32"
        )
        self.call = tf.function(self.call)

    def call(self, inputs):
        self.total.assign_add(tf.reduce_sum(inputs))
        return inputs


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
    broken("wrapped_call", WrappedCounter, "variables", generations=(3,)),
    broken("wrapped_call", WrappedMetric, "metrics['size']", generations=(3,)),
    broken("wrapped_call", WrappedInTheConstructor, "variables", generations=(3,)),
    broken("wrapped_call", WrappedHelper, "`WrappedHelper.penalise` is wrapped in tf.function"),
]
