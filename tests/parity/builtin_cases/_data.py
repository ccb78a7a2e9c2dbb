"""Arrays that the cases share, no two axes of one equally long, and what makes cases of tables."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns.parity import LayerCase

_RNG = np.random.default_rng(15)


def normal(*shape):
    """A batch of four."""
    return _RNG.normal(size=(4, *shape)).astype("float32")


def integers(low, high, *shape, dtype="int32"):
    """A batch of four."""
    return _RNG.integers(low, high, size=(4, *shape)).astype(dtype)


def pixels(*shape):
    """A batch of four, from 0 to 255."""
    return _RNG.uniform(0, 255, size=(4, *shape)).astype("float32")


VECTORS, OTHER_VECTORS = normal(5), normal(5)
STEPS, OTHER_STEPS = normal(6, 5), normal(6, 5)
IMAGES, OTHER_IMAGES = normal(8, 7, 6), normal(8, 7, 6)
VOLUMES = normal(7, 6, 5, 2)
IDS = integers(0, 7, 6)  # zero, which `mask_zero` masks, among them
PICTURES = pixels(9, 8, 3)

# No sequence is masked whole, and only those of the last kind have a valid step after a masked one.
LENGTHS = np.array([6, 3, 1, 5])
MASK = np.arange(6) < LENGTHS[:, np.newaxis]
OTHER_MASK = MASK[::-1].copy()
HOLES = (
    np.array([[1, 0, 1, 1, 0, 1], [0, 0, 1, 0, 1, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 1]]) > 0
)

# The same lengths, without padding.
RAGGED_IDS = tf.RaggedTensor.from_row_lengths(np.arange(15, dtype="int32") % 7, LENGTHS)
RAGGED_STEPS = tf.RaggedTensor.from_row_lengths(normal(4, 5).reshape(16, 5)[1:], LENGTHS)


def cases(table):
    """A `LayerCase` for each row whose class the loaded Keras has.

    Args:
        table: Name to `(make, inputs[, mask[, call_kwargs]])`; what precedes the first underscore
            in the name is the class.
    """
    return [_case(name, *row) for name, row in table.items() if _exists(name.split("_")[0])]


def masked(table, *names):
    """The rows of some layers that take sequences as well as anything else, with a mask."""
    return {f"{name}_masked": (table[name][0], STEPS, HOLES) for name in names}


def _case(name, make, inputs, mask=None, call_kwargs=None):
    return LayerCase(make, inputs, mask=mask, call_kwargs=call_kwargs or {}, name=name)


def _exists(name):
    return hasattr(keras.layers, name) or hasattr(keras, name)
