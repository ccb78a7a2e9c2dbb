"""Layers that read the padding."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import MASK, broken


class MaximumOfAll(keras.layers.Layer):
    """Takes a mask, and forgets it."""

    def call(self, inputs, mask=None):
        return tf.reduce_max(inputs, axis=1)


class MeanOfAll(keras.layers.Layer):
    """Never heard of masks, and is fed padding."""

    def call(self, inputs):
        return tf.reduce_mean(inputs, axis=1)


class CentredSteps(keras.layers.Layer):
    """Takes the mean of all steps away, padding included."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        return inputs - tf.reduce_mean(inputs, axis=1, keepdims=True)


class LooksAhead(keras.layers.Layer):
    """The last valid step reads the first masked one."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        return inputs + tf.pad(inputs[:, 1:], [[0, 0], [0, 1], [0, 0]])


class WeaklyMaskedAttention(keras.layers.Layer):
    """Takes so little off the scores of masked steps that large ones remain."""

    def build(self, input_shape):
        self.score = self.add_weight(name="score", shape=(input_shape[-1], 1))
        self.built = True

    def call(self, inputs, mask=None):
        scores = tf.matmul(inputs, tf.convert_to_tensor(self.score))
        if mask is not None:
            scores -= 10.0 * (1.0 - tf.cast(mask, inputs.dtype)[:, :, tf.newaxis])
        return tf.reduce_sum(inputs * tf.nn.softmax(scores, axis=1), axis=1)


class StatisticsOfPadding(keras.layers.Layer):
    """Normalises by moving statistics that padding enters in training."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        self.mean = self.add_weight(
            name="mean", shape=(input_shape[-1],), initializer="zeros", trainable=False
        )
        self.built = True

    def call(self, inputs, training=None):
        old = tf.convert_to_tensor(self.mean)
        if training and self.trainable:
            new = 0.9 * old + 0.1 * tf.reduce_mean(inputs, axis=[0, 1])
            self.mean.assign(tf.cast(new, self.variable_dtype))
        return inputs - old


class PenaltyOnPadding(keras.layers.Layer):
    """Its outputs keep to the mask, and its penalty does not."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        self.add_loss(0.01 * tf.reduce_mean(tf.square(inputs)))
        return tf.identity(inputs)


class MetricOfPadding(keras.layers.Layer):
    """Reports the mean magnitude of all steps."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.magnitude = keras.metrics.Mean(name=f"{self.name}_magnitude")

    def call(self, inputs):
        self.magnitude.update_state(tf.abs(inputs))
        return tf.identity(inputs)


class CentredInLambda(keras.layers.Layer):
    """Its fault is in a function that a layer of Keras' own runs."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.centre = keras.layers.Lambda(_centred, lambda shape: shape)

    def call(self, inputs):
        return self.centre(inputs)


def _centred(inputs):
    return inputs - tf.reduce_mean(inputs, axis=1, keepdims=True)


BROKEN = [
    broken("padding_content", CentredInLambda, "outputs", mask=MASK),
    broken("padding_content", MaximumOfAll, "outputs is", mask=MASK),
    broken("padding_content", MeanOfAll, "outputs is", mask=MASK),
    broken("padding_content", CentredSteps, "outputs is", mask=MASK),
    broken("padding_content", LooksAhead, "outputs is", mask=MASK),
    broken("padding_content", WeaklyMaskedAttention, "outputs is", mask=MASK),
    broken("padding_content", StatisticsOfPadding, "mean is", mask=MASK),
    broken("padding_content", PenaltyOnPadding, "losses[0] is", mask=MASK),
    broken("padding_content", MetricOfPadding, "magnitude is", mask=MASK),
]
