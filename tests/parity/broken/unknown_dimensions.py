"""Layers that need to know sizes that a graph leaves open."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class ReshapedByBatchSize(keras.layers.Layer):
    """Merges steps and features of a number of samples that it asks the shape for."""

    def call(self, inputs):
        batch, steps, features = inputs.shape
        return tf.reshape(inputs, (batch, steps * features))


class TokenInFront(keras.layers.Layer):
    """Puts a learned step in front, repeated for a number of samples known to Python."""

    def build(self, input_shape):
        self.token = self.add_weight(name="token", shape=(1, 1, input_shape[-1]))
        self.built = True

    def call(self, inputs):
        token = tf.repeat(tf.convert_to_tensor(self.token), int(inputs.shape[0]), axis=0)
        return tf.concat([token, inputs], axis=1)


class TokenForKnownSamples(keras.layers.Layer):
    """Repeats its token once where Python knows no number of samples: SavedModels break too."""

    def build(self, input_shape):
        self.token = self.add_weight(name="token", shape=(1, 1, input_shape[-1]))
        self.built = True

    def call(self, inputs):
        samples = 1 if inputs.shape[0] is None else inputs.shape[0]
        token = tf.repeat(tf.convert_to_tensor(self.token), samples, axis=0)
        return tf.concat([token, inputs], axis=1)


class ZerosOfKnownBatch(keras.layers.Layer):
    """Says its shape, so that Keras 3 first traces it for an unknown batch size to export it."""

    def call(self, inputs):
        return inputs + tf.zeros((inputs.shape[0], 1, 1), inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


class LengthOrFive(keras.layers.Layer):
    """Takes five for a number of steps that it does not know: the graph runs, and is wrong."""

    def call(self, inputs):
        steps = inputs.shape[1] or 5
        return inputs * (1.0 / steps)


class DoubledStepsByShape(keras.layers.Layer):
    """Its `compute_output_shape` doubles None."""

    def call(self, inputs):
        return tf.repeat(inputs, 2, axis=1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[1] * 2, input_shape[2])


class PenaltyBesideDenseInTime(keras.layers.Layer):
    """Its penalty forgets to divide by a number of samples that Python does not know.

    That Keras 3's TimeDistributed is wrong where the steps are unknown too is no excuse for it.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.TimeDistributed(keras.layers.Dense(3))

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True

    def call(self, inputs):
        self.add_loss(0.1 * tf.reduce_sum(inputs**2) / (inputs.shape[0] or 1))
        return self.dense(inputs)


class RowsInLambda(keras.layers.Layer):
    """Takes an unknown number of samples for four, in a function that Keras' own layer runs."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.rows = keras.layers.Lambda(_of_four_samples, lambda shape: shape)

    def call(self, inputs):
        return self.rows(inputs)


def _of_four_samples(rows):
    samples = 4 if rows.shape[0] is None else rows.shape[0]
    return rows * tf.cast(tf.fill([samples, 1, 1], 2), rows.dtype)


BROKEN = [
    broken("unknown_dimensions", RowsInLambda, "the traced layer cannot be called"),
    broken("unknown_dimensions", ReshapedByBatchSize, "unknown batch size"),
    broken("unknown_dimensions", TokenInFront, "unknown batch size"),
    broken("unknown_dimensions", TokenForKnownSamples, "the traced layer cannot be called"),
    broken("unknown_dimensions", ZerosOfKnownBatch, "unknown batch size"),
    broken("unknown_dimensions", LengthOrFive, "where eager mode gives"),
    broken("unknown_dimensions", DoubledStepsByShape, "`compute_output_shape` cannot be called"),
    broken("unknown_dimensions", PenaltyBesideDenseInTime, "where eager mode gives"),
]
