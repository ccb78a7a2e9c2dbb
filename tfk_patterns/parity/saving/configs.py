"""Configs: which arguments must be in them, and what has no place in them."""

import inspect
import json
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity.errors import blamed
from tfk_patterns.parity.objects.captured import is_of_a_library, own_classes
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.saving import reloading

# Arguments of every layer: their values are compared, wherever the config has them.
OF_EVERY_LAYER = {
    *("name", "trainable", "dtype", "activity_regularizer", "autocast", "dynamic"),
    *("input_shape", "batch_input_shape", "batch_size", "input_dim", "weights", "input_tensor"),
}

_NAMED = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY


def own_arguments(layer) -> list[str]:
    """The arguments by name of the constructor, if it is not a library's."""
    for cls in type(layer).__mro__:
        if "__init__" in vars(cls):
            if is_of_a_library(cls):
                return []
            parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
            return [p.name for p in parameters if p.kind in _NAMED]
    return []


def all_arguments(layer) -> set[str]:
    """The arguments by name of the constructors of its class and of the classes above."""
    found: set[str] = set()
    for cls in type(layer).__mro__:
        if cls in (keras.layers.Layer, keras.Model):
            break
        if "__init__" in vars(cls):
            found.update(inspect.signature(cls.__init__).parameters)
    return found - {"self", "args", "kwargs"}


def defines(layer, method: str) -> bool:
    """Whether a class of it that is not a library's defines a method."""
    return any(method in vars(cls) for cls in own_classes(layer))


def takes(layer, name: str) -> bool:
    """Whether its constructor takes an argument, be it among `**kwargs`."""
    parameters = inspect.signature(type(layer).__init__).parameters.values()
    return any(p.name == name or p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


def live_things(value: Any, path: str) -> list[tuple[str, Any]]:
    """What in a config is an object, function or tensor, with its place: JSON holds none."""
    if isinstance(value, dict):
        inner = [(f"{path}[{key!r}]", part) for key, part in value.items()]
    elif isinstance(value, list | tuple):
        inner = [(f"{path}[{place}]", part) for place, part in enumerate(value)]
    else:
        return [(path, value)] if _is_live(value) else []
    return [found for place, part in inner for found in live_things(part, place)]


def _is_live(value: Any) -> bool:
    if isinstance(value, tf.DType | tf.TensorShape | np.generic | type):
        return False  # Keras writes and reads these itself
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return callable(value) or hasattr(value, "get_config") or hasattr(value, "numpy")


def written(layer) -> dict[str, Any]:
    """The config of a layer, as it is read from a file.

    Raises:
        Failure: There is none, or it cannot be written.
    """
    with blamed("`get_config` raises an error", "get_config", NO_CONFIG, check="config"):
        config = layer.get_config()
    for path, thing in live_things(config, "config"):
        raise Failure(f"{path} is {_kind_of(thing)}, which JSON cannot hold", path, LIVE)
    with blamed("the config cannot be written", "get_config", LIVE, check="config"):
        return json.loads(json.dumps(keras.layers.serialize(layer)["config"]))


def rebuilt(layer, config: dict[str, Any]):
    """A new layer, not built, from a config."""
    config = json.loads(json.dumps(config))  # `from_config` may change what it is given
    custom = keras.utils.custom_object_scope(reloading.custom_objects(layer))
    with equal_circumstances(seed=1), custom:  # what is drawn without a seed is in no config
        return type(layer).from_config(config)


def skip_python_code(layer) -> None:
    """Ends a check of a layer whose config holds Python code."""
    if any(map(_keras.holds_python_code, _keras.sublayers(layer))):
        raise Skip("the config holds Python code of a Lambda layer, which safe mode refuses")


def _kind_of(thing: Any) -> str:
    cls = type(thing).__name__
    if isinstance(thing, keras.layers.Layer):
        return f"a layer ({cls})"
    if isinstance(thing, np.ndarray | tf.Tensor | tf.Variable) or hasattr(thing, "numpy"):
        return f"an array or tensor ({cls})"
    return f"a function ({thing.__name__})" if hasattr(thing, "__name__") else f"an object ({cls})"


def changed(layer, changes: dict[str, Any], config: dict[str, Any]):
    """A layer from a config with changes, or `None` where the constructor refuses them."""
    try:
        return rebuilt(layer, {**config, **changes})
    except (ValueError, TypeError, NotImplementedError):
        return None


NO_CONFIG = (
    "Define `get_config`: return {**super().get_config(), ...} with every argument of the "
    "constructor under its own name."
)
LIVE = (
    "Put plain values into the config: `keras.activations.serialize(...)`, "
    "`keras.initializers.serialize(...)`, `keras.layers.serialize(...)`, `array.tolist()`; and "
    "read them back in the constructor (`keras.activations.get(...)`) or in `from_config`."
)
WRONG = (
    "`get_config` must give back each argument of the constructor under its own name, with the "
    "value it was given, and `from_config` must use it: keep each in an attribute, and start from "
    "`super().get_config()`."
)
CANNOT = "`type(layer).from_config(layer.get_config())` must work: " + WRONG
