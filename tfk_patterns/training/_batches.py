"""Batches for the replicas of a strategy."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tfk_patterns import _replicas, _validate


class Share(NamedTuple):
    """What a replica gets of a batch, and the fraction of its samples, which no one else knows."""

    data: Any
    fraction: tf.Tensor


class Batches:
    """The batches of a run, epoch by epoch, from any place.

    Args:
        name: Of the argument that the dataset is, for errors.
        strategy: Whose replicas share each batch.
        dataset: A dataset, or a function of the epoch that makes one.
        steps_per_epoch: How many batches an epoch has; `None` for all of the dataset. With it, a
            dataset goes on in the next epoch where it was, and starts again at its end, as in
            `fit` of Keras.
        first_epoch: The epoch that starts with the dataset's first batch.
    """

    def __init__(self, name, strategy, dataset, steps_per_epoch=None, first_epoch=0):
        _check_dataset(name, dataset)
        if steps_per_epoch is not None:
            _validate.positive_integer("steps_per_epoch", steps_per_epoch)
        self.name = name
        self.dataset = dataset
        self.steps_per_epoch = steps_per_epoch
        self._distributed_dataset = None
        self._strategy = strategy
        self.first_epoch = first_epoch
        self._going_on = None  # the iterator that all epochs share
        self._last_made = None, None  # an epoch and its dataset

    def steps(self, epoch: int) -> int | None:
        """The number of batches in an epoch, where it is known."""
        if self.steps_per_epoch is not None:
            return self.steps_per_epoch
        dataset = self.dataset if self._is_dataset() else self._made(epoch)
        size = int(dataset.cardinality()) if isinstance(dataset, tf.data.Dataset) else -2
        if size == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                "`steps_per_epoch` must be given for a dataset without an end. Received: "
                f"steps_per_epoch=None and {dataset!r}"
            )
        return None if size < 0 else size

    def spec(self, epoch: int):
        """The structure of a batch, in `tf.TensorSpec`s."""
        return (self.dataset if self._is_dataset() else self._made(epoch)).element_spec

    def iterator(self, epoch: int, step: int = 0):
        """An iterator over an epoch's batches, each shared out to the replicas."""
        if not self._is_dataset():
            return iter(self._distributed(_skip(self._made(epoch), step)))
        if self.steps_per_epoch is None:
            if step:
                return iter(self._distributed(_skip(self.dataset, step)))
            if self._distributed_dataset is None:
                self._distributed_dataset = self._distributed(self.dataset)
            return iter(self._distributed_dataset)
        if self._going_on is None:
            done = (epoch - self.first_epoch) * self.steps_per_epoch + step
            self._going_on = iter(self._distributed(_repeated(self.dataset, done)))
        return self._going_on

    def empty_iterator(self):
        """An iterator of the same type, for a function to be traced with."""
        spec = self.spec(self.first_epoch)
        empty = tf.data.Dataset.from_generator(lambda: iter(()), output_signature=spec)
        return iter(self._distributed(empty))

    def _is_dataset(self) -> bool:
        return not isinstance(self.dataset, Callable)

    def _made(self, epoch: int) -> tf.data.Dataset:
        if self._last_made[0] != epoch:
            self._last_made = epoch, made(self.name, self.dataset, epoch)
        return self._last_made[1]

    def _distributed(self, dataset):
        if not isinstance(dataset, tf.data.Dataset):
            return dataset  # which its maker has shared out
        if self._strategy.num_replicas_in_sync == 1:
            return self._strategy.experimental_distribute_dataset(dataset)
        _check_batched(dataset)
        return self._strategy.distribute_datasets_from_function(
            lambda context: _shares(dataset, context)
        )


def validation_batches(strategy, dataset, steps: int | None, name="validation_data") -> Batches:
    """Batches that are the same each time: the first so many, or all."""
    _check_dataset(name, dataset)
    if steps is None:
        return Batches(name, strategy, dataset)
    _validate.positive_integer("steps" if name == "dataset" else "validation_steps", steps)
    if isinstance(dataset, tf.data.Dataset):
        return Batches(name, strategy, dataset.take(steps))
    if isinstance(dataset, Callable):
        return Batches(name, strategy, lambda epoch: made(name, dataset, epoch).take(steps))
    raise ValueError(
        f"`{name}` must have been cut to so many batches before it was distributed. Received: "
        f"{dataset!r} and {steps} steps"
    )


def _check_dataset(name: str, dataset) -> None:
    kinds = tf.data.Dataset | tf.distribute.DistributedDataset | Callable
    if not isinstance(dataset, kinds):
        raise _validate.type_error(
            name,
            "a tf.data.Dataset of batches, as `Dataset.from_tensor_slices((x, y)).batch(32)`, a "
            "tf.distribute.DistributedDataset, or a function of the epoch that makes a dataset",
            dataset,
        )


def made(name: str, dataset_fn: Callable, epoch: int) -> tf.data.Dataset:
    """What a function of the epoch returns, which must be a dataset."""
    dataset = dataset_fn(epoch)
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            f"`{name}`, as a function of the epoch, must return a tf.data.Dataset. Received: "
            f"{dataset!r} (of type {type(dataset).__name__}) for epoch {epoch}"
        )
    return dataset


def _skip(dataset, steps: int):
    return dataset.skip(steps) if steps else dataset


def _repeated(dataset, done: int):
    if not isinstance(dataset, tf.data.Dataset):
        return dataset
    return _skip(dataset.repeat(), done)


def _check_batched(dataset) -> None:
    for spec in tf.nest.flatten(dataset.element_spec):
        if getattr(spec, "shape", None) is not None and spec.shape.rank == 0:
            raise ValueError(
                "`dataset` must give batches, to be shared out to the replicas. Received: elements "
                f"of {dataset.element_spec}"
            )


def _shares(dataset, context: tf.distribute.InputContext) -> tf.data.Dataset:
    """What a worker's replicas get of each batch, one after the other.

    All shares of a batch are equal, or differ by a sample; TensorFlow's own way fills the first
    replicas and leaves what remains to the last. A replica may get no samples at all.
    """
    replicas = context.num_replicas_in_sync
    here = replicas // context.num_input_pipelines
    first = context.input_pipeline_id * here

    def share(batch, replica):
        samples = tf.cast(_replicas.samples_in(batch), tf.int64)
        start, end = samples * replica // replicas, samples * (replica + 1) // replicas
        data = tf.nest.map_structure(lambda tensor: tensor[start:end], batch)
        return Share(data, tf.cast((end - start) / samples, tf.float32))

    if here == 1:
        return dataset.map(lambda *batch: share(_element(batch), first)).prefetch(tf.data.AUTOTUNE)
    replicas_here = tf.data.Dataset.range(first, first + here)
    return dataset.flat_map(
        lambda *batch: replicas_here.map(lambda replica: share(_element(batch), replica))
    ).prefetch(tf.data.AUTOTUNE)


def _element(arguments):
    """The element of a dataset, from the arguments that `map` calls a function with."""
    return arguments[0] if len(arguments) == 1 else arguments
