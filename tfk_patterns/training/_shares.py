"""Batches shared out to the replicas of a strategy."""

from typing import Any, NamedTuple

import tensorflow as tf

from tfk_patterns._replicas import samples_in


class Share(NamedTuple):
    """What a replica gets of a batch, and how many samples the whole batch has."""

    data: Any
    whole: tf.Tensor


def shares(dataset, context: tf.distribute.InputContext) -> tf.data.Dataset:
    """What a worker's replicas get of each batch, one after the other.

    All shares of a batch are equal, or differ by a sample, which the first replicas have more, or
    have alone; TensorFlow's own way fills the first ones and leaves what remains to the last.
    """
    replicas = context.num_replicas_in_sync
    here = replicas // context.num_input_pipelines
    first = context.input_pipeline_id * here

    def share(batch, replica):
        whole = tf.cast(samples_in(batch), tf.int64)
        start, end = (-(-whole * count // replicas) for count in (replica, replica + 1))
        parts = tf.nest.map_structure(lambda tensor: _rows(tensor, start, end, replicas), batch)
        return Share(parts, whole)

    if here == 1:
        return dataset.map(lambda *batch: share(_element(batch), first)).prefetch(tf.data.AUTOTUNE)
    replicas_here = tf.data.Dataset.range(first, first + here)
    return dataset.flat_map(
        lambda *batch: replicas_here.map(lambda replica: share(_element(batch), replica))
    ).prefetch(tf.data.AUTOTUNE)


def _rows(tensor, start, end, replicas: int):
    """The samples from one to another; of a known number, where all replicas have as many."""
    if tensor is None:
        return None
    rows = tensor[start:end]
    if tensor.shape.rank and tensor.shape[0] and tensor.shape[0] % replicas == 0:
        rows.set_shape([tensor.shape[0] // replicas, *tensor.shape[1:]])
    return rows


def _element(arguments):
    """The element of a dataset, from the arguments that `map` calls a function with."""
    return arguments[0] if len(arguments) == 1 else arguments
