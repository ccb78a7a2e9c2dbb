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


BROKEN = [broken("masks", MaskOfNonZeroSteps, "masks[0] is", mask=MASK)]
