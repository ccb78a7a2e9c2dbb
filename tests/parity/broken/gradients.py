"""Gradients that the graph loses."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class FrozenAtFirst(keras.layers.Layer):
    """Lets no gradient through in its first calls, counted in Python, to protect what is below."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs if self.calls > 3 else tf.stop_gradient(inputs)


BROKEN = [broken("gradients", FrozenAtFirst, "input_gradients[0] is")]
