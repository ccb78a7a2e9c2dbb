"""Outputs that depend on how often Python ran."""

from tensorflow import keras

from tests.parity.broken import broken


class AnnealedScale(keras.layers.Layer):
    """Scales less with each call, counted by a Python attribute that the graph reads once."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs / self.calls


BROKEN = [broken("outputs", AnnealedScale, "outputs is")]
