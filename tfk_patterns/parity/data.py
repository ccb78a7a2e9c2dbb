"""What a layer is fed, `{"inputs", "mask", "kwargs"}` as tensors, and what is made of it."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfk_patterns.parity.case import LayerCase

Data = dict[str, Any]


def data_of(case: LayerCase) -> Data:
    """The case's arrays as tensors; `None`s, ragged and sparse tensors are kept."""
    return tf.nest.map_structure(
        _as_tensor, {"inputs": case.inputs, "mask": case.mask, "kwargs": case.batched_kwargs}
    )


def _as_tensor(leaf):
    is_tensor = leaf is None or isinstance(leaf, tf.RaggedTensor | tf.SparseTensor)
    return leaf if is_tensor else tf.convert_to_tensor(leaf)


def batch_size(data: Data) -> int | None:
    """The number of samples, or `None` where the first tensor has no axes."""
    shape = tf.nest.flatten(data["inputs"])[0].shape
    return shape[0] if shape.rank else None


def taken(data: Data, indices: Sequence[int]) -> Data:
    """The data of the samples at these places, in this order; repeats and none are allowed."""
    indices = tf.constant(list(indices), tf.int32)

    def take(leaf):
        if leaf is None or not leaf.shape.rank:
            return leaf
        if isinstance(leaf, tf.SparseTensor):
            return tf.sparse.from_dense(tf.gather(tf.sparse.to_dense(leaf), indices))
        return tf.gather(leaf, indices)  # takes strings and ragged tensors too

    return tf.nest.map_structure(take, data)


def varied(data: Data, by: int) -> Data:
    """The data with its samples moved on by some places, and the first in the place of the last.

    Neither a sample nor a statistic of the batch is the same in every call.
    """
    size = batch_size(data)
    if not size or not by % size:
        return data
    places = [(place - by) % size for place in range(size)]
    return taken(data, [*places[:-1], places[0]])


def with_floats(data: Data, function: Callable, parts: Sequence[str] = ("inputs",)) -> Data:
    """The data with a function applied to every dense float tensor in some of its parts."""

    def change(leaf):
        is_float = isinstance(leaf, tf.Tensor) and leaf.dtype.is_floating
        return function(leaf) if is_float else leaf

    return {
        part: tf.nest.map_structure(change, value) if part in parts else value
        for part, value in data.items()
    }


def as_dtype(data: Data, dtype: str | tf.DType) -> Data:
    """The data with every float tensor in a dtype."""
    return with_floats(data, lambda leaf: tf.cast(leaf, dtype), ("inputs", "kwargs"))


def holds_strings(data: Data) -> bool:
    """Whether a tensor holds strings."""
    return any(leaf.dtype == tf.string for leaf in tensors_of(data))


def tensors_of(data: Data) -> list:
    """The tensors in the data, in a fixed order, without the `None`s."""
    return [leaf for leaf in tf.nest.flatten(data) if leaf is not None]


def unflatten(data: Data, tensors: Sequence) -> Data:
    """The structure of `data` with the given tensors in the place of its own, `None`s kept."""
    rest = iter(tensors)
    flat = [None if leaf is None else next(rest) for leaf in tf.nest.flatten(data)]
    return tf.nest.pack_sequence_as(data, flat)
