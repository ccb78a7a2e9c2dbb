"""Layers that say they support masking, and drop masks."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import MASK, broken


class ScaledRecurrence(keras.layers.Layer):
    """A GRU that gets no mask, for a product stands before it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.recurrence = keras.layers.GRU(3, return_sequences=True)

    def build(self, input_shape):
        self.recurrence.build(input_shape)
        self.built = True

    def call(self, inputs):
        return self.recurrence(inputs * 0.5)


class AttentionAfterSum(keras.layers.Layer):
    """Attention over what a sum has taken the mask from."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.dense = keras.layers.Dense(3)
        self.attention = keras.layers.Attention()

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True

    def call(self, inputs):
        hidden = self.dense(inputs) + inputs
        return self.attention([hidden, hidden])


class LastStateOfScaled(keras.layers.Layer):
    """Takes a mask in `call`, and does not hand it to the LSTM inside."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.recurrence = keras.layers.LSTM(2)

    def build(self, input_shape):
        self.recurrence.build(input_shape)
        self.built = True

    def call(self, inputs, mask=None):
        if mask is not None:
            inputs = tf.where(mask[:, :, tf.newaxis], inputs, 0.0)
        return self.recurrence(inputs)


class DroppedByComputeMask(keras.layers.Layer):
    """Knows what to do with a list of masks only."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        return inputs * 2.0

    def compute_mask(self, inputs, mask=None):
        return mask[0] if isinstance(mask, list) else None


class MaskOfLongInputs(keras.layers.Layer):
    """Looks at windows of inputs that are long enough, and forgets the mask of others."""

    def __init__(self, window=16, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.window = window

    def get_config(self):
        return {**super().get_config(), "window": self.window}

    def call(self, inputs):
        return tf.math.softsign(inputs)

    def compute_mask(self, inputs, mask=None):
        steps = inputs.shape[1]
        return mask if steps is not None and steps >= self.window else None


class NotSupported(keras.layers.Layer):
    """Keeps padding out of a softmax over the steps, and does not say that it supports masking."""

    def call(self, inputs, mask=None):
        if mask is not None:
            inputs = tf.where(mask[:, :, tf.newaxis], inputs, inputs.dtype.min)
        return tf.nn.softmax(inputs, axis=1)


class StepsApart(keras.layers.Layer):
    """Treats each step alone, and so needs no mask itself; the layers after it do."""

    def call(self, inputs):
        return inputs * tf.sigmoid(inputs)


BROKEN = [
    broken("mask_lost", StepsApart, "does not support masking", mask=MASK),
    broken("mask_lost", NotSupported, "does not support masking", mask=MASK),
    broken("mask_lost", ScaledRecurrence, "no mask reaches the GRU", mask=MASK),
    broken("mask_lost", AttentionAfterSum, "no mask reaches the Attention", mask=MASK),
    broken("mask_lost", LastStateOfScaled, "no mask reaches the LSTM", mask=MASK),
    broken("mask_lost", DroppedByComputeMask, "has no mask", mask=MASK),
    broken("mask_lost", MaskOfLongInputs, "has no mask", mask=MASK),
]
