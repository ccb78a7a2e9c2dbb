"""What a layer and the modules it comes from hold at one moment."""

import dataclasses
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.errors import shown_apart
from tfk_patterns.parity.objects import object_graph
from tfk_patterns.parity.objects.captured import own_classes
from tfk_patterns.parity.outcome import Failure

_HINT = (
    "A mutable default argument, a class attribute or a global is one object for all instances. "
    "Make it in `__init__`, and copy what is passed in before you change it."
)


@dataclasses.dataclass(frozen=True)
class Place:
    """A value that was read, and how to read it again.

    Args:
        path: How it is reached.
        owner: What holds it.
        value: The value.
        read: Reads it again.
    """

    path: str
    owner: Any
    value: Any
    read: Callable[[], Any]

    def require_unchanged(self) -> None:
        """Raises a `Failure` if the value is another one by now."""
        now = self.read()
        if not _same(self.value, now):
            before, after = shown_apart(repr(self.value), repr(now))
            raise Failure(
                f"making and calling another instance changes {self.path} from {before} to {after}",
                where=self.path,
                hint=_HINT,
            )


def contents(layer) -> Iterator[Place]:
    """Every value that can be reached from a layer, with the place it is in."""
    modules, classes = {}, {}
    for found in object_graph.reachable(layer, "layer"):
        for cls in own_classes(found.thing):
            modules[cls.__module__] = sys.modules.get(cls.__module__)
            classes[cls] = cls
        read = _reader(found.thing)
        if read is not None:
            yield Place(found.path, found.thing, read(), read)
    for cls in classes:
        yield from _names_in(cls.__name__, cls)
    for name, module in modules.items():
        if module is not None:
            yield from _names_in(name, module)


def _reader(thing: Any) -> Callable[[], Any] | None:
    if isinstance(thing, dict):
        return lambda: list(thing.items())
    if isinstance(thing, set | frozenset):
        return lambda: sorted(map(id, thing))
    if isinstance(thing, list | tuple) or type(thing).__name__ == "deque":
        return lambda: list(thing)
    if isinstance(thing, np.ndarray):
        return lambda: thing.copy()
    variables = [] if hasattr(thing, "call") else _keras.tensorflow_variables_of(thing)
    if variables:
        return lambda: [np.asarray(tf.convert_to_tensor(variable)) for variable in variables]
    if own_classes(thing):
        return lambda: list(object_graph.attributes(thing))
    return None


def _names_in(path: str, owner: Any) -> Iterator[Place]:
    """What the names of a class or module stand for."""

    def read(name):
        return lambda: vars(owner).get(name)

    for name, value in list(vars(owner).items()):
        if not name.startswith("__"):
            yield Place(f"{path}.{name}", owner, value, read(name))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, list | tuple) and type(one) is type(other):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, bool | int | float | complex | str | bytes):
        return type(one) is type(other) and (one == other or one != one)
    return one is other
