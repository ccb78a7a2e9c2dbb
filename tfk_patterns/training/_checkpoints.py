"""The checkpoints of a run: what is in one, when it is written, where to go on."""

import dataclasses
import os
from pathlib import Path

from tfk_patterns import _validate
from tfk_patterns.training._callbacks import continue_files
from tfk_patterns.training._checkpoint_files import KEPT, CheckpointFiles
from tfk_patterns.training._memories import (
    Memories,
    check_memories,
    packed,
    unpacked,
    warn_of_what_is_not_kept,
)
from tfk_patterns.training._reproducibility import check_reproducible
from tfk_patterns.training._results import numbers
from tfk_patterns.training._traced import (
    traced,
    warn_of_random_operations,
    warn_of_what_is_not_seen,
)
from tfk_patterns.training._training_state import TrainingState


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a run is.

    Attributes:
        epoch: The epoch.
        step: The steps of the epoch that are done.
        logs: The last logs.
        stopped: Whether a callback has ended the training.
    """

    epoch: int
    step: int = 0
    logs: dict = dataclasses.field(default_factory=dict)
    stopped: bool = False


def check_checkpoint_arguments(checkpoint_dir, save_freq) -> None:
    """Raises where these arguments of a loop are wrong."""
    if save_freq != "epoch":
        _validate.integer("save_freq", save_freq, "'epoch' or a number of steps")
        _validate.positive_integer("save_freq", save_freq)
        if checkpoint_dir is None:
            raise ValueError(
                "`checkpoint_dir` must be given with `save_freq`. Received: "
                f"checkpoint_dir=None, save_freq={save_freq}"
            )
    if not isinstance(checkpoint_dir, str | os.PathLike | None):
        raise _validate.type_error("checkpoint_dir", "a path, or None", checkpoint_dir)
    if checkpoint_dir == "" or "://" in str(checkpoint_dir):
        raise _validate.value_error("checkpoint_dir", "a folder", checkpoint_dir)


def checkpoints_of(loop, callbacks, functions, data, validation):
    """The checkpoints of a run of `fit`, or what stands for none.

    All that is wrong with them, or with the data, is found here, before anything has changed.
    """
    if loop.checkpoint_dir is None:
        return NoCheckpoints()
    once = data.steps_per_epoch is not None
    for batches, iterated_once in ((data, once), (validation, False)):
        if batches is not None:
            check_reproducible(
                batches.name, batches.dataset, epoch=data.first_epoch, iterated_once=iterated_once
            )
    graphs = []
    if loop.model.run_eagerly:
        warn_of_what_is_not_seen()
    else:
        sources = [batches for batches in (data, validation) if batches is not None]
        graphs = [traced(*pair) for pair in zip(functions, sources, strict=False)]
        warn_of_random_operations(graphs[0])
    return Checkpoints(loop, callbacks, graphs, data)


class NoCheckpoints:
    """Stands for checkpoints where there are none."""

    def restore(self, start: Place) -> Place:
        return start

    def close(self) -> None:
        pass

    def save(self, place: Place) -> None:
        pass

    def save_if_due(self, place: Place) -> None:
        pass


class Checkpoints:
    """The checkpoints of one run of `fit`, in a folder for each worker."""

    def __init__(self, loop, callbacks, graphs: list, data):
        self._model = loop.model
        self._workers = loop.workers
        self._save_freq = loop.save_freq
        self._first_epoch = data.first_epoch
        self._steps_per_epoch = data.steps_per_epoch
        self._callbacks = callbacks
        self._state = TrainingState(loop.model, graphs)
        folder = Path(os.fspath(loop.checkpoint_dir))
        _check_workers(folder, self._workers.count)
        if self._workers.count > 1:
            folder /= f"worker-{self._workers.index}"
        self._files = CheckpointFiles(folder)
        try:
            self._found = self._newest()
        except BaseException:
            self.close()
            raise
        if self._found is not None:
            continue_files(callbacks.callbacks, epoch=self._found[0][0])

    def restore(self, start: Place) -> Place:
        """Goes on from the newest checkpoint, if there is one; after `on_train_begin`."""
        self._memories = Memories(self._callbacks.callbacks)
        warn_of_what_is_not_kept(self._callbacks.callbacks)
        self._last_saved = start
        key = (-1, 0)
        if self._found is not None:
            key, arrays, facts = self._found
            place = Place(**unpacked(facts["place"], arrays))
            if place.step:  # what that changes is put back, as the rest is
                self._callbacks.on_epoch_begin(place.epoch)
            self._state.restore(arrays)
            self._memories.restore(arrays, facts["callbacks"])
            self._model.stop_training = facts["stop_training"]
            self._last_saved = place
            self._found = None
        # Later ones, of a worker that came further, may not fit those that will be written now.
        self._files.remove_after(key)
        return self._last_saved

    def close(self) -> None:
        """Lets another run have the folder."""
        self._files.close()

    def save(self, place: Place) -> None:
        """Writes a checkpoint."""
        arrays, memories = self._memories.values()
        logs = numbers(place.logs)
        facts = {
            "place": packed(vars(dataclasses.replace(place, logs=logs)), arrays),
            "first_epoch": self._first_epoch,
            "steps_per_epoch": self._steps_per_epoch,
            "stop_training": bool(self._model.stop_training),
            "callbacks": memories,
        }
        arrays.update(self._state.values())
        self._files.write((place.epoch, place.step), arrays, facts)
        self._last_saved = place

    def save_if_due(self, place: Place) -> None:
        """Writes a checkpoint, if it is time for one within an epoch."""
        if self._save_freq == "epoch":
            return
        saved = self._last_saved.step if self._last_saved.epoch == place.epoch else 0
        if place.step - saved >= self._save_freq:
            self.save(place)

    def _newest(self) -> tuple | None:
        """Key, arrays and facts of the newest checkpoint that all workers have.

        Raises:
            ValueError: It is damaged, or of another run.
        """
        key = self._newest_key()
        if key is None:
            return None
        arrays, facts = self._files.read(key)
        path = self._files.path(key)
        if facts["first_epoch"] != self._first_epoch:
            raise ValueError(
                f"`initial_epoch` must be that of the run in {path}, {facts['first_epoch']}; give "
                "another run a `checkpoint_dir` of its own. Received: "
                f"initial_epoch={self._first_epoch}"
            )
        if facts["steps_per_epoch"] != self._steps_per_epoch:
            raise ValueError(
                f"`steps_per_epoch` must be that of the run in {path}, {facts['steps_per_epoch']}. "
                f"Received: steps_per_epoch={self._steps_per_epoch}"
            )
        check_memories(self._callbacks.callbacks, facts["callbacks"], path)
        self._state.check(arrays, path)
        return key, arrays, facts

    def _newest_key(self):
        here = self._files.keys()[-KEPT:]
        padded = [(-1, -1)] * (KEPT - len(here)) + here
        rows = self._workers.gather([number for key in padded for number in key])
        by_worker = [set(zip(row[::2], row[1::2], strict=True)) - {(-1, -1)} for row in rows]
        common = set.intersection(*by_worker)
        if not common and any(len(keys) > 1 for keys in by_worker):
            raise ValueError(
                "`checkpoint_dir` must hold a checkpoint that all workers have; where one has lost "
                "its own, remove the others', to start anew. Received, by worker, checkpoints of "
                "(epoch, step) " + ", ".join(str(sorted(keys)) for keys in by_worker)
            )
        return max(common, default=None)


def _check_workers(folder: Path, count: int) -> None:
    """Raises where a folder holds the checkpoints of another number of workers."""
    others = [path for path in folder.glob("worker-*") if count == 1 or _index(path) >= count]
    if count > 1:  # a worker's own folder is made later, or is on another disk
        others += folder.glob("*.npz")
    if others:
        raise ValueError(
            "`checkpoint_dir` must be that of a run of as many workers. Received: a folder with "
            f"{min(others)}, where there {'are' if count > 1 else 'is'} {count}"
        )


def _index(path: Path) -> int:
    return int(path.name.removeprefix("worker-"))
