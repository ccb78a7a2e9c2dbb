"""What Keras callbacks remember."""

import sys
import warnings
from collections.abc import Collection
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

_NOT_KEPT = ("model", "_model", "params", "validation_data")


class Memories:
    """What callbacks come to remember in training, as arrays and what JSON holds."""

    def __init__(self, callbacks: list):
        self._callbacks = _remembering(callbacks)
        self._at_start = [_plain_attributes(callback) for callback in self._callbacks]

    def values(self) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
        """What has changed since the start, by callback."""
        arrays: dict[str, np.ndarray] = {}
        changed = []
        for callback, before in zip(self._callbacks, self._at_start, strict=True):
            now = _plain_attributes(callback)
            attributes = {
                name: packed(value, arrays)
                for name, value in now.items()
                if name not in before or not _equal(before[name], value)
            }
            changed.append({"callback": type(callback).__name__, "attributes": attributes})
        return arrays, changed

    def restore(self, arrays: dict, changed: list) -> None:
        """Gives the callbacks back what `values` returned."""
        for callback, memory in zip(self._callbacks, changed, strict=True):
            for name, value in memory["attributes"].items():
                setattr(callback, name, unpacked(value, arrays))


def check_memories(callbacks: list, changed: list, where) -> None:
    """Raises where memories are not of such callbacks."""
    names = [type(callback).__name__ for callback in _remembering(callbacks)]
    then = [memory["callback"] for memory in changed]
    if names != then:
        raise ValueError(
            f"`callbacks` must be of the classes that {where} was written with, {then}. "
            f"Received: {names}"
        )


def _remembering(callbacks: list) -> list:
    """All but the progress bar, which may be shown in one process and not in another."""
    bar = keras.callbacks.ProgbarLogger
    return [callback for callback in callbacks if not isinstance(callback, bar)]


def _plain_attributes(callback) -> dict[str, Any]:
    return {
        name: _copied(value)
        for name, value in vars(callback).items()
        if name not in _NOT_KEPT and _is_plain(value)
    }


def warn_of_what_is_not_kept(callbacks: list) -> None:
    """Warns of collections that callbacks of the user's may fill, and no checkpoint holds."""
    for callback in callbacks:
        for name, value in vars(callback).items():
            is_collection = isinstance(value, Collection) and not isinstance(value, str)
            if name not in _NOT_KEPT and is_collection and not _is_plain(value):
                warnings.warn(
                    f"`{type(callback).__name__}.{name}` is kept in no checkpoint, since it holds "
                    "more than numbers, texts, arrays, lists, tuples, sets and dicts.",
                    stacklevel=2,
                )


def _is_plain(value) -> bool:
    """Whether it can be kept, and brought back as what it was."""
    if type(value) is dict:
        return all(_is_plain(part) for pair in value.items() for part in pair)
    if type(value) in (list, tuple, set):
        return all(map(_is_plain, value))
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in "biuf" or value.dtype.name == "bfloat16"
    if value is None or type(value) in (bool, int, float, str):
        return True
    return tf.is_tensor(value) or _reference(value) is not None


def _copied(value):
    """A value that stays when the first one changes; with arrays for tensors."""
    if tf.is_tensor(value):
        return value.numpy()
    if isinstance(value, dict):
        return {key: _copied(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set):
        return type(value)(map(_copied, value))
    return value.copy() if isinstance(value, np.ndarray) else value


def _equal(a, b) -> bool:
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    return type(a) is type(b) and np.array_equal(a, b)


def packed(value, arrays: dict):
    """A plain value as JSON holds it, with arrays put aside."""
    if isinstance(value, dict):
        return {"dict": [[packed(part, arrays) for part in pair] for pair in value.items()]}
    for kind in (list, tuple, set):
        if isinstance(value, kind):
            return {kind.__name__: [packed(one, arrays) for one in value]}
    if _reference(value):
        return {"function": _reference(value)}
    if isinstance(value, np.ndarray | np.generic):
        name = f"callbacks/{len(arrays)}"
        arrays[name] = np.asarray(value)
        return {"array": name, "scalar": isinstance(value, np.generic)}
    return value


def unpacked(value, arrays: dict):
    """What `packed` was given."""
    if not isinstance(value, dict):
        return value
    if "dict" in value:
        return {unpacked(key, arrays): unpacked(one, arrays) for key, one in value["dict"]}
    for kind in (list, tuple, set):
        if kind.__name__ in value:
            return kind(unpacked(one, arrays) for one in value[kind.__name__])
    if "function" in value:
        module, name = value["function"]
        return getattr(sys.modules[module], name)
    return arrays[value["array"]][()] if value["scalar"] else arrays[value["array"]]


def _reference(value) -> tuple[str, str] | None:
    """Where a function of a module is found; `best` may have to be less, or more."""
    module = getattr(value, "__module__", None) or "numpy"  # of its ufuncs
    name = getattr(value, "__name__", None)
    found = getattr(sys.modules.get(module), str(name), None)
    return (module, name) if callable(value) and found is value else None
