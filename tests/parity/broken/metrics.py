"""Metrics that the graph updates otherwise."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class ReportsEverySecondCall(keras.layers.Layer):
    """Updates its metric every second call, to save time, by a Python counter."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = 0
        self.norm = keras.metrics.Mean(name="norm")

    def call(self, inputs):
        self.calls += 1
        if self.calls % 2 == 0:
            self.norm.update_state(tf.norm(inputs))
        return inputs


BROKEN = [broken("metrics", ReportsEverySecondCall, "metrics['norm']")]
