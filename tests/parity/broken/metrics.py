"""Metrics that depend on the mode."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class ReportsInEagerMode(keras.layers.Layer):
    """Updates its metric in eager mode only, to save time."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = keras.metrics.Mean(name=f"{self.name}_norm")

    def call(self, inputs):
        if tf.executing_eagerly():
            self.norm.update_state(tf.norm(inputs))
        return inputs


class ReportsTwiceInGraph(keras.layers.Layer):
    """Updates its metric once more in a graph."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = keras.metrics.Sum(name=f"{self.name}_calls")

    def call(self, inputs):
        self.calls.update_state(1.0)
        if tf.inside_function():
            self.calls.update_state(1.0)
        return inputs


class ReportsPositiveValues(keras.layers.Layer):
    """Leaves negative values out where it can read them."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.size = keras.metrics.Mean(name=f"{self.name}_size")

    def call(self, inputs):
        weights = tf.cast(inputs > 0, inputs.dtype) if hasattr(inputs, "numpy") else None
        self.size.update_state(tf.abs(inputs), sample_weight=weights)
        return inputs


BROKEN = [
    broken("metrics", ReportsInEagerMode, "metrics['reports_in_eager_mode_norm']"),
    broken("metrics", ReportsTwiceInGraph, "metrics['reports_twice_in_graph_calls']"),
    broken("metrics", ReportsPositiveValues, "metrics['reports_positive_values_size']"),
]
