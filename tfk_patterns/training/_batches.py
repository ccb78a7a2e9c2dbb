"""The batches of a run, epoch by epoch."""

import inspect
import itertools
from collections.abc import Callable

import tensorflow as tf

from tfk_patterns import _validate
from tfk_patterns.training._shares import shares


class Batches:
    """The batches of a run, epoch by epoch, from any place.

    Args:
        name: Of the argument that the dataset is, for errors.
        strategy: Whose replicas share each batch.
        dataset: A dataset, or a function of the epoch that makes one.
        steps: How many batches an epoch has; `None` for all of the dataset. With it, a dataset
            goes on in the next epoch where it was, and starts again at its end.
        first_epoch: The epoch that starts with the dataset's first batch.
        steps_name: Of the argument that `steps` is, for errors.
    """

    def __init__(
        self, name, strategy, dataset, steps=None, first_epoch=0, steps_name="steps_per_epoch"
    ):
        if steps is not None:
            _validate.positive_integer(steps_name, steps)
        self.name = name
        self.dataset = dataset
        self.steps_per_epoch = steps
        self.first_epoch = first_epoch
        self._steps_name = steps_name
        self._strategy = strategy
        self._distributed_dataset = None
        self._going_on = None  # the iterator that all epochs share
        self._last_made = None, None  # an epoch and its dataset
        _check_dataset(name, dataset)
        self._check_batched(self.spec(first_epoch))

    def steps(self, epoch: int) -> int | None:
        """The number of batches in an epoch, where it is known."""
        size = self._size(epoch)
        if self.steps_per_epoch is not None:
            shorter = self._is_function() and 0 <= size < self.steps_per_epoch
            return size if shorter else self.steps_per_epoch
        if size == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                f"`{self._steps_name}` must be given for a dataset without an end. Received: "
                f"{self._steps_name}=None and {self.dataset!r}"
            )
        return None if size < 0 else size

    def has_known_end(self, epoch: int) -> bool:
        """Whether an iterator has at least as many batches as `steps` says."""
        if self._is_distributed():
            return False
        goes_on = self.steps_per_epoch is not None and not self._is_function()
        return goes_on or self._size(epoch) != tf.data.UNKNOWN_CARDINALITY

    def _size(self, epoch: int) -> int:
        """The number of batches in the dataset; negative, as TensorFlow has it, where unknown."""
        dataset = self._made(epoch) if self._is_function() else self.dataset
        return int(dataset.cardinality) if self._is_distributed() else int(dataset.cardinality())

    def spec(self, epoch: int):
        """The structure of a batch, in `tf.TensorSpec`s."""
        return (self._made(epoch) if self._is_function() else self.dataset).element_spec

    def iterator(self, epoch: int, step: int = 0):
        """An iterator over an epoch's batches, each shared out to the replicas."""
        if self._is_function():
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

    def _is_function(self) -> bool:
        return not isinstance(self.dataset, tf.data.Dataset) and not self._is_distributed()

    def _is_distributed(self) -> bool:
        return isinstance(self.dataset, tf.distribute.DistributedDataset)

    def _check_batched(self, specs) -> None:
        for spec in tf.nest.flatten(specs):
            if getattr(spec, "shape", None) is not None and spec.shape.rank == 0:
                raise ValueError(
                    f"`{self.name}` must give batches, with the samples along the first axis. "
                    f"Received: elements of {specs}"
                )

    def _made(self, epoch: int) -> tf.data.Dataset:
        if self._last_made[0] != epoch:
            self._last_made = epoch, made(self.name, self.dataset, epoch)
        return self._last_made[1]

    def _distributed(self, dataset):
        if not isinstance(dataset, tf.data.Dataset):
            return dataset  # which its maker has shared out
        if self._strategy.num_replicas_in_sync == 1:
            return dataset
        # What fetches to a device takes a tenth of a second to make, in each epoch.
        fetch = any("CPU" not in device for device in self._strategy.extended.worker_devices)
        return self._strategy.distribute_datasets_from_function(
            lambda context: shares(dataset, context),
            tf.distribute.InputOptions(experimental_fetch_to_device=fetch),
        )


def validation_batches(
    strategy, dataset, steps: int | None, epoch: int = 0, name="validation_data"
) -> Batches:
    """Batches that are the same each time: the first so many, or all."""
    steps_name = "steps" if name == "dataset" else "validation_steps"
    if steps is not None:
        _validate.positive_integer(steps_name, steps)
    if isinstance(dataset, tf.data.Dataset):
        dataset = dataset if steps is None else dataset.take(steps)
    elif isinstance(dataset, Callable) and steps is not None:
        whole = dataset
        dataset = lambda epoch: made(name, whole, epoch).take(steps)  # noqa: E731
    if steps is None or not isinstance(dataset, tf.distribute.DistributedDataset):
        batches = Batches(name, strategy, dataset, first_epoch=epoch, steps_name=steps_name)
        batches.steps(epoch)  # which raises where there is no end
        return batches
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
            type(dataset),
        )


def made(name: str, dataset_fn: Callable, epoch: int) -> tf.data.Dataset:
    """What a function of the epoch returns, which must be a dataset."""
    try:
        inspect.signature(dataset_fn).bind(epoch)
    except TypeError as error:
        raise TypeError(
            f"`{name}`, as a function, must take the epoch and return a tf.data.Dataset ({error}). "
            f"Received: {dataset_fn!r}"
        ) from None
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
    if isinstance(dataset, tf.data.Dataset):
        return _skip(dataset.repeat(), done)
    return (batch for _ in itertools.count() for batch in dataset)
