"""Layers that do not take every number of samples."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class SqueezedMean(keras.layers.Layer):
    """Squeezes away the axis it has kept, and with one sample that of the batch too."""

    def call(self, inputs):
        return tf.squeeze(tf.reduce_mean(inputs, axis=1, keepdims=True))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[2])


class MixedHalves(keras.layers.Layer):
    """Mixes each sample in training with one of the other half, which must be as large."""

    def call(self, inputs, training=None):
        if not training:
            return inputs
        first, second = tf.split(inputs, 2, axis=0)
        return tf.concat([first + 0.1 * second, second + 0.1 * first], axis=0)


class FirstSampleAsReference(keras.layers.Layer):
    """Reads the width of the features off the first sample, which an empty batch has not."""

    def call(self, inputs):
        width = tf.cast(tf.size(inputs[0][0]), inputs.dtype)
        return inputs / tf.sqrt(width)


class BatchStandardised(keras.layers.Layer):
    """In training divides by the deviation over samples, with n - 1 in the denominator."""

    def call(self, inputs, training=None):
        if not training:
            return inputs
        samples = tf.cast(tf.shape(inputs)[0], inputs.dtype)
        centred = inputs - tf.reduce_mean(inputs, axis=0)
        variance = tf.reduce_sum(tf.square(centred), axis=0) / (samples - 1.0)
        return centred / tf.sqrt(variance + 1e-3)


class StatePerSample(keras.layers.Layer):
    """Has a weight for each sample of the first batch."""

    def build(self, input_shape):
        shape = (input_shape[0] or 1, 1, input_shape[-1])
        self.offset = self.add_weight(name="offset", shape=shape, initializer="ones")
        self.built = True

    def call(self, inputs):
        return inputs + tf.convert_to_tensor(self.offset)


class PairwisePenalty(keras.layers.Layer):
    """Takes the mean over pairs of different samples, of which one sample makes none."""

    def call(self, inputs):
        pooled = tf.reduce_mean(inputs, axis=1)
        alike = tf.matmul(pooled, pooled, transpose_b=True)
        others = alike - tf.linalg.diag(tf.linalg.diag_part(alike))
        samples = tf.cast(tf.shape(inputs)[0], inputs.dtype)
        self.add_loss(0.1 * tf.reduce_sum(tf.square(others)) / (samples * (samples - 1.0)))
        return tf.identity(inputs)


class ContrastsInBatch(keras.layers.Layer):
    """Tells each sample from the others, and has no class to choose where there is none."""

    def call(self, inputs):
        pooled = tf.reduce_mean(inputs, axis=1)
        logits = tf.matmul(pooled, pooled, transpose_b=True)
        places = tf.range(tf.shape(inputs)[0])
        entropies = tf.nn.sparse_softmax_cross_entropy_with_logits(places, logits)
        self.add_loss(tf.reduce_mean(entropies))
        return tf.identity(inputs)


BROKEN = [
    broken("batch_sizes", SqueezedMean, "has shape (3,) for 1 sample, and (4, 3) for 4"),
    broken("batch_sizes", MixedHalves, "1 sample cannot be called"),
    broken("batch_sizes", FirstSampleAsReference, "0 samples cannot be called"),
    broken("batch_sizes", BatchStandardised, "is not finite for one sample"),
    broken("batch_sizes", StatePerSample, "samples cannot be called"),
    broken("batch_sizes", PairwisePenalty, "losses[0] is not finite for one sample"),
    broken("batch_sizes", ContrastsInBatch, "0 samples cannot be called"),
]
