"""Objects that a layer holds, whether Keras knows of them or not."""

import functools
from typing import Any

from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity.reloading import is_of_a_library


def reachable(layer, kind: type) -> dict[str, Any]:
    """Objects of a kind that are attributes of the layer, or of layers and plain objects in it.

    Lists, tuples, sets and dicts are looked into, and the objects found are not.

    Args:
        layer: The layer.
        kind: The class of the objects.

    Returns:
        Where each object was first found, such as `self.heads[0].norm`, and the object.
    """
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for part in _keras.sublayers(layer):
        path = "self" if part is layer else f"<{part.name}>"
        _search(part, path, kind, found, seen)
    return found


def _search(thing: Any, path: str, kind: type, found: dict, seen: set) -> None:
    if id(thing) in seen or isinstance(thing, type):
        return
    seen.add(id(thing))
    if isinstance(thing, kind):
        found[path] = thing
        return
    for place, value in _parts_of(thing):
        _search(value, path + place, kind, found, seen)


def _parts_of(thing: Any) -> list[tuple[str, Any]]:
    if isinstance(thing, dict):
        return [(f"[{key!r}]", value) for key, value in thing.items()]
    if isinstance(thing, list | tuple | set | frozenset):
        return [(f"[{place}]", value) for place, value in enumerate(thing)]
    if isinstance(thing, keras.layers.Layer):
        return [(f".{k}", v) for k, v in vars(thing).items() if k not in _of_any_layer()]
    if is_of_a_library(type(thing)) or not hasattr(thing, "__dict__"):
        return []
    return [(f".{key}", value) for key, value in vars(thing).items()]


@functools.cache
def _of_any_layer() -> frozenset[str]:
    """The attributes that Keras gives to every layer and model."""
    return frozenset({*vars(keras.layers.Layer()), *vars(keras.Sequential())})
