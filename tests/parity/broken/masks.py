"""Masks that are not the same in every mode."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import MASK, broken


class MaskOfNonZeroSteps(keras.layers.Layer):
    """Reads the values where it can, and passes the old mask on where it cannot: in a graph."""

    def call(self, inputs):
        return inputs * 2.0

    def compute_mask(self, inputs, mask=None):
        if hasattr(inputs, "numpy"):
            return tf.constant((inputs.numpy() > 0).any(axis=-1))
        return mask


class MasksTheFirstStep(keras.layers.Layer):
    """Masks the first step, which only eager mode knows how to."""

    def call(self, inputs):
        return tf.identity(inputs)

    def compute_mask(self, inputs, mask=None):
        if mask is None or not tf.executing_eagerly():
            return mask
        return tf.concat([tf.zeros_like(mask[:, :1]), mask[:, 1:]], axis=1)


class ReversesTheMask(keras.layers.Layer):
    """Reverses its steps, and the mask with them where it runs eagerly."""

    def call(self, inputs):
        return tf.reverse(inputs, axis=[1])

    def compute_mask(self, inputs, mask=None):
        if mask is None or not tf.executing_eagerly():
            return mask
        return tf.reverse(mask, axis=[1])


BROKEN = [
    broken("masks", MaskOfNonZeroSteps, "masks[0] is", mask=MASK),
    broken("masks", MasksTheFirstStep, "masks[0] is", mask=MASK),
    broken("masks", ReversesTheMask, "masks[0] is", mask=MASK),
]
