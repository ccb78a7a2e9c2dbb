"""Masks made from that of a case."""

import tensorflow as tf

from tfk_patterns.parity.data import Data


def fully(data: Data, samples: slice) -> Data:
    """The data with some samples masked whole."""

    def change(mask):
        keep = tf.ones(tf.shape(mask), tf.bool).numpy()
        keep[samples] = False
        return mask & keep

    return _with_masks(data, change)


def nowhere_fully(data: Data) -> Data:
    """The data with the first step of each sample valid that was masked whole."""

    def change(mask):
        first = tf.one_hot(0, mask.shape[1], True, False)
        shape = [1, mask.shape[1], *[1] * (mask.shape.rank - 2)]
        nothing = ~tf.reduce_any(mask, axis=range(1, mask.shape.rank), keepdims=True)
        return mask | (nothing & tf.reshape(first, shape))

    return _with_masks(data, change)


def _with_masks(data: Data, function) -> Data:
    masks = tf.nest.map_structure(
        lambda mask: function(mask) if mask is not None and mask.shape.rank > 1 else mask,
        data["mask"],
    )
    return {**data, "mask": masks}
