"""Metrics that take one another's place in the logs."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import INPUTS, Broken, broken
from tfk_patterns.parity import LayerCase


class FixedName(keras.layers.Layer):
    """Logs its activity, under one name for every such layer."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.activity = keras.metrics.Mean(name="activity")

    def call(self, inputs):
        self.activity.update_state(tf.abs(inputs))
        return inputs


class MeanAndPeak(keras.layers.Layer):
    """Two metrics of one name in one layer."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.mean = keras.metrics.Mean(name=f"{self.name}_activity")
        self.total = keras.metrics.Sum(name=f"{self.name}_activity")

    def call(self, inputs):
        self.mean.update_state(inputs)
        self.total.update_state(inputs)
        return inputs


class NamedByItsClass(keras.layers.Layer):
    """Logs its activity, under the name of its class."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.activity = keras.metrics.Mean(name=f"{type(self).__name__}_activity")

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones")
        self.built = True

    def call(self, inputs, training=None):
        outputs = inputs * self.scale
        if training:
            self.activity.update_state(outputs)
        return outputs


BROKEN = [
    broken("metric_names", FixedName, "have a metric with the name 'activity'"),
    broken("metric_names", MeanAndPeak, "two metrics of the layer have the name"),
    broken("metric_names", NamedByItsClass, "both have a metric"),
    Broken(
        "metric_names",
        LayerCase(lambda: FixedName(name="activity_1"), INPUTS, name="NameFixedByMake"),
        "'activity_1_other' both have",
    ),
]
