"""Losses that are no scalars, or that depend on the size of the batch."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import MASK, broken


class SummedActivity(keras.layers.Layer):
    """Penalises large activities, summed over the batch."""

    def __init__(self, rate=0.01, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def call(self, inputs):
        self.add_loss(self.rate * tf.reduce_sum(tf.square(inputs)))
        return inputs

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


class PenaltyPerSample(keras.layers.Layer):
    """Adds one loss for each sample."""

    def call(self, inputs):
        self.add_loss(tf.reduce_mean(tf.abs(inputs), axis=(1, 2)))
        return inputs


class SampledCode(keras.layers.Layer):
    """A variational code: draws in training, and forgets to average its divergence."""

    def __init__(self, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed

    def build(self, input_shape):
        self.draws = self.add_weight(
            name="draws", shape=(), dtype="int32", initializer="zeros", trainable=False
        )
        self.built = True

    def call(self, inputs, training=None):
        self.add_loss(0.5 * tf.reduce_sum(tf.square(inputs)))
        if not training:
            return inputs
        draws = tf.convert_to_tensor(self.draws)
        seed = tf.stack([self.seed, draws])
        noise = tf.random.stateless_normal(tf.shape(inputs), seed, dtype=inputs.dtype)
        self.draws.assign_add(1)
        return inputs + noise

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


class SummedMaskedSteps(keras.layers.Layer):
    """Penalises the steps that are not padding, and divides by their number in one sample."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        weights = tf.ones_like(inputs[..., 0]) if mask is None else tf.cast(mask, inputs.dtype)
        steps = tf.maximum(tf.reduce_max(tf.reduce_sum(weights, axis=1)), 1)
        energy = tf.reduce_sum(tf.square(inputs), axis=-1) * weights
        self.add_loss(tf.reduce_sum(energy) / steps)
        return inputs


class NormOfTheBatch(keras.layers.Layer):
    """Penalises the norm of the whole batch, only in training."""

    def call(self, inputs, training=None):
        if training:
            self.add_loss(0.1 * tf.sqrt(tf.reduce_sum(tf.square(inputs)) + 1e-4))
        return inputs


class DividedTwice(keras.layers.Layer):
    """Divides a mean by the batch size once more."""

    def call(self, inputs):
        penalty = tf.reduce_mean(tf.square(inputs))
        self.add_loss(penalty / tf.cast(tf.shape(inputs)[0], penalty.dtype))
        return inputs


BROKEN = [
    broken("loss_scale", SummedActivity, "the same samples repeated"),
    broken("loss_scale", PenaltyPerSample, "losses[0] has shape (4,), and is no scalar"),
    broken("loss_scale", SampledCode, "the same samples repeated"),
    broken("loss_scale", SummedMaskedSteps, "the same samples repeated", mask=MASK),
    broken("loss_scale", NormOfTheBatch, "for 8 samples and"),
    broken("loss_scale", DividedTwice, "for 8 samples and"),
]
