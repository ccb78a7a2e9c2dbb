"""Models with a broken layer in them."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken_models import broken, compiled


class Annealed(keras.layers.Layer):
    """Counts its calls in Python."""

    calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs / self.calls


class MeanOverBatch(keras.layers.Layer):
    """Centres its input by the mean over the batch, in inference too."""

    def call(self, inputs):
        return inputs - tf.reduce_mean(inputs, axis=0, keepdims=True)


def _around(layer):
    def make():
        inputs = keras.Input((4,))
        return compiled(keras.Model(inputs, keras.layers.Dense(1)(layer()(inputs))))

    return make


BROKEN = [
    broken("python_state", _around(Annealed), "`self.calls`", name="AroundAnnealed"),
    broken("batch_independence", _around(MeanOverBatch), "", name="AroundMeanOverBatch"),
]
