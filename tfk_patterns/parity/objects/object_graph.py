"""What Python code can reach from a layer: attributes, containers, closures, globals."""

import collections
import dataclasses
import functools
import types
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity.objects.captured import (
    function_in,
    is_of_a_library,
    own_classes,
    things_of,
)

_SEQUENCES = (list, tuple, collections.deque)
_SETS = (set, frozenset)
_LEAVES = (type(None), bool, int, float, complex, str, bytes, type, types.ModuleType)


@dataclasses.dataclass(frozen=True)
class Found:
    """Something reached.

    Args:
        path: How it is reached, such as `layer.blocks['a'][0]`.
        thing: The thing itself.
        by_global: Whether only through a global variable of a module.
    """

    path: str
    thing: Any
    by_global: bool = False


def reachable(root: Any, name: str) -> Iterator[Found]:
    """The root and everything that can be reached from it, each once, the nearest first.

    Objects of the standard library, NumPy, TensorFlow and Keras are not looked into, layers apart;
    neither are metrics, optimizers, classes and modules.

    Args:
        root: A layer, or a function.
        name: What to call it in paths.
    """
    # What is reached through globals comes last, so that a nearer path wins.
    waiting, through_globals = collections.deque([Found(name, root)]), collections.deque()
    seen: set[int] = set()
    while waiting or through_globals:
        found = (waiting or through_globals).popleft()
        if isinstance(found.thing, _LEAVES) or id(found.thing) in seen:
            continue
        seen.add(id(found.thing))
        yield found
        for suffix, thing, by_global in _children(found.thing):
            # What a function reads has a name of its own; the rest goes on from what holds it.
            path = found.path + suffix if suffix[:1] in ("", *".[{ ") else suffix
            part = Found(path, thing, found.by_global or by_global)
            (through_globals if part.by_global else waiting).append(part)


def variables(root: Any, name: str) -> dict[int, Found]:
    """The variables that can be reached, as TensorFlow's, by `key`.

    Those of metrics and optimizers are left out.
    """
    found: dict[int, Found] = {}
    listed: dict[int, Found] = {}
    for part in reachable(root, name):
        is_layer = isinstance(part.thing, keras.layers.Layer)
        for variable in _keras.tensorflow_variables_of(part.thing):
            path = f"{part.path} > {variable.name}" if is_layer else part.path
            target = listed if is_layer else found
            target.setdefault(key(variable), Found(path, variable, part.by_global))
    return {**listed, **found}


def key(variable: tf.Variable) -> int:
    """What identifies a variable: wrappers around it have the same."""
    return id(variable.handle)


def attributes(thing: Any) -> list[tuple[str, Any]]:
    """Name and value of the attributes of an object, those of Keras' bookkeeping left out."""
    found = list(getattr(thing, "__dict__", {}).items())
    for cls in own_classes(thing):
        slots = vars(cls).get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else slots
        found += [(name, getattr(thing, name)) for name in names if hasattr(thing, name)]
    if not isinstance(thing, keras.layers.Layer):
        return found
    internal, mentioned = _internal_names(), _mentioned_names(type(thing))
    return [
        (name, value)
        for name, value in found
        if name not in internal and (not name.startswith("_") or name in mentioned)
    ]


def _children(thing: Any) -> Iterator[tuple[str, Any, bool]]:
    if _keras.is_metric(thing) or isinstance(thing, keras.optimizers.Optimizer):
        return
    if isinstance(thing, dict):
        yield from ((f"[{key!r}]", value, False) for key, value in list(thing.items()))
    elif isinstance(thing, _SEQUENCES):
        yield from ((f"[{place}]", value, False) for place, value in enumerate(list(thing)))
    elif isinstance(thing, _SETS):
        yield from (("{...}", value, False) for value in list(thing))
    elif isinstance(thing, keras.layers.Layer):
        yield from _children_of_layer(thing)
    elif isinstance(thing, functools.partial):
        parts = {"func": thing.func, "args": thing.args, "keywords": thing.keywords}
        yield from ((f".{name}", value, False) for name, value in parts.items())
    elif isinstance(thing, types.MethodType):
        yield ".__self__", thing.__self__, False
        yield ".__func__", thing.__func__, False
    elif isinstance(thing, types.FunctionType):
        yield from _children_of_function(thing)
    elif isinstance(getattr(thing, "python_function", None), types.FunctionType | types.MethodType):
        yield ".python_function", thing.python_function, False  # of what tf.function returns
    elif isinstance(thing, types.SimpleNamespace) or not is_of_a_library(type(thing)):
        yield from ((f".{name}", value, False) for name, value in attributes(thing))
        yield from _children_of_classes(thing)


def _children_of_layer(layer) -> Iterator[tuple[str, Any, bool]]:
    if own_classes(layer):
        yield from ((f".{name}", value, False) for name, value in attributes(layer))
        yield from _children_of_classes(layer)
    for part in _keras.sublayers(layer):
        if part is not layer:
            yield f" > {part.name}", part, False


def _children_of_classes(thing: Any) -> Iterator[tuple[str, Any, bool]]:
    """Class attributes, and what methods hold in closures and read from globals."""
    for cls in own_classes(thing):
        for name, value in list(vars(cls).items()):
            function = function_in(value)
            if function is not None:
                yield f".{name}", function, False
            elif not name.startswith("__"):
                yield f".{name}", value, False


def _children_of_function(function) -> Iterator[tuple[str, Any, bool]]:
    if hasattr(function, "__wrapped__"):
        yield "", function.__wrapped__, False
    if is_of_a_library(function):
        return
    yield from things_of(function)


@functools.lru_cache(maxsize=1024)
def _mentioned_names(cls: type) -> frozenset[str]:
    """What the code of a class mentions: other private attributes are those of its Keras base."""
    found: set[str] = set()
    for base in cls.__mro__:
        if not is_of_a_library(base):
            functions = filter(None, map(function_in, vars(base).values()))
            found.update(*(function.__code__.co_names for function in functions))
    return frozenset(found)


@functools.cache
def _internal_names() -> frozenset[str]:
    """Attributes that are Keras' own bookkeeping: nodes lead out of the layer."""
    return frozenset({*vars(keras.layers.Layer()), *vars(keras.Model())})
