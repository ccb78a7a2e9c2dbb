"""Checkpoints in a folder, one file each, which a kill at any moment leaves whole."""

import contextlib
import json
import os
import re
from pathlib import Path

import numpy as np
import tensorflow as tf

fcntl = None
with contextlib.suppress(ImportError):  # on Windows
    import fcntl

KEPT = 3  # workers that were killed together may be two checkpoints apart
_NAME = "epoch-{:06}-step-{:010}.npz"
_KEY = re.compile(r"epoch-(\d+)-step-(\d+)\.npz")
_FORMAT = 1
_FACTS = "facts"  # the entry with all that is no array

Key = tuple[int, int]


class CheckpointFiles:
    """The checkpoints of one process, by their key: the epoch, and the step in it."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.folder)
        for left in self.folder.glob("*.partial"):  # by a kill
            left.unlink()

    def close(self) -> None:
        """Lets another process have the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def keys(self) -> list[Key]:
        """Those that there are, the oldest first."""
        names = (_KEY.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted((int(name.group(1)), int(name.group(2))) for name in names if name)

    def path(self, key: Key) -> Path:
        """The file of a checkpoint."""
        return self.folder / _NAME.format(*key)

    def write(self, key: Key, arrays: dict, facts: dict) -> None:
        """Writes a checkpoint, and removes those that are too old.

        Raises:
            OSError: It could not be written. Those before it are as they were.
        """
        path = self.path(key)
        partial = path.with_suffix(".partial")
        # NumPy's files know no bfloat16 and the like.
        dtypes = {name: array.dtype.name for name, array in arrays.items()}
        facts = {**facts, "format": _FORMAT, "dtypes": dtypes}
        text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        try:
            with open(partial, "wb") as file:
                np.savez(file, **arrays, **{_FACTS: text})
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)  # at once, or not at all
            _sync_folder(self.folder)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise OSError(
                error.errno,
                f"{error.strerror}, while this checkpoint was written; those before it are whole",
                str(path),
            ) from error
        for old in self.keys()[:-KEPT]:
            self.path(old).unlink()

    def read(self, key: Key) -> tuple[dict, dict]:
        """The arrays and facts of a checkpoint.

        Raises:
            ValueError: The file is not whole.
        """
        path = self.path(key)
        try:
            with np.load(path) as file:
                arrays = {name: file[name] for name in file.files}
            facts = json.loads(arrays.pop(_FACTS).tobytes())
            if (found := facts.pop("format")) != _FORMAT:
                raise ValueError(f"it is of format {found}, not {_FORMAT}")
            for name, dtype in facts.pop("dtypes").items():
                arrays[name] = arrays[name].view(tf.as_dtype(dtype).as_numpy_dtype)
            return arrays, facts
        except Exception as error:  # whatever a library says of bytes that are not its own
            older = [other for other in self.keys() if other < key]
            remedy = f"go on from {self.path(older[-1]).name}" if older else "start anew"
            raise ValueError(
                f"`checkpoint_dir` holds a checkpoint that is damaged; remove it to {remedy}. "
                f"Received: {path} ({type(error).__name__}: {error})"
            ) from error

    def remove_after(self, key: Key) -> None:
        """Removes later checkpoints."""
        for later in self.keys():
            if later > key:
                self.path(later).unlink()


def _locked(folder: Path) -> int | None:
    """The folder, opened so that no other run can, as long as this one has it or lives."""
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RuntimeError(
            f"`checkpoint_dir` is in use by a run that has not ended. Received: {folder}"
        ) from None
    return descriptor


def _sync_folder(folder: Path) -> None:
    """Puts the new name on the disk as well, where folders can be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
