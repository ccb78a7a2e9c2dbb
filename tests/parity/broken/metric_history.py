"""Metrics whose value in the logs is not that of the epoch."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import MASK, broken


class ResetsItself(keras.layers.Layer):
    """Starts its metric anew in each call, so that it is that of the last batch."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = keras.metrics.Mean(name=f"{self.name}_norm")

    def call(self, inputs):
        self.norm.reset_state()
        self.norm.update_state(tf.reduce_mean(tf.abs(inputs)))
        return inputs


class Statistics:
    """Keeps a metric away from Keras."""

    def __init__(self, name):
        self.mean = keras.metrics.Mean(name=f"{name}_mean")


class KeepsItInAnObject(keras.layers.Layer):
    """Keras sees no metric, and neither logs nor resets it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.statistics = Statistics(self.name)

    def call(self, inputs):
        self.statistics.mean.update_state(inputs)
        return inputs


class LargestSoFar(keras.metrics.Metric):
    """The largest value, which survives the end of an epoch."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.largest = self.add_weight(name="largest", initializer="zeros")
        self.batches = self.add_weight(name="batches", initializer="zeros")

    def update_state(self, values, sample_weight=None):
        self.largest.assign_add(tf.cast(tf.reduce_max(values), self.largest.dtype))
        self.batches.assign_add(1.0)

    def result(self):
        return tf.convert_to_tensor(self.largest) / tf.maximum(
            tf.convert_to_tensor(self.batches), 1.0
        )

    def reset_state(self):
        self.batches.assign(0.0)


class HalfReset(keras.layers.Layer):
    """Has a metric of its own that forgets one of its variables when it is reset."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.peak = LargestSoFar(name=f"{self.name}_peak")

    def call(self, inputs):
        self.peak.update_state(inputs)
        return inputs


class MaskedFraction(keras.layers.Layer):
    """Counts the padding, from zero again whenever it is not in training."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.padding = keras.metrics.Sum(name=f"{self.name}_padding")

    def call(self, inputs, mask=None, training=None):
        if not training:
            self.padding.reset_state()
        if mask is not None:
            self.padding.update_state(1.0 - tf.cast(mask, tf.float32))
        return inputs


BROKEN = [
    broken("metric_history", ResetsItself, "a recomputation over all batches"),
    broken("metric_history", KeepsItInAnObject, "is updated, but is not in `layer.metrics`"),
    broken("metric_history", HalfReset, "a recomputation over all batches"),
    broken("metric_history", MaskedFraction, "a recomputation over all batches", mask=MASK),
]
