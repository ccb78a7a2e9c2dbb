"""Layers and models written down, and made again from what was written."""

import sys
import tempfile
import types
from pathlib import Path
from typing import Any

from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity.objects.captured import is_of_a_library
from tfk_patterns.parity.reference import equal_circumstances


def from_config(layer, **changes):
    """A new layer, not built, from the config of a layer and changes to it."""
    with equal_circumstances(), keras.utils.custom_object_scope(custom_objects(layer)):
        return type(layer).from_config({**layer.get_config(), **changes})


def from_keras_file(model, custom: dict[str, Any]):
    """The model, saved to a `.keras` file and loaded again."""
    with equal_circumstances(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        return keras.models.load_model(path, custom_objects=custom)


def custom_objects(layer) -> dict[str, Any]:
    """What a user would pass as `custom_objects` to load a model with this layer.

    Its class and those of the layers in it, what the modules of those classes define, and the
    functions and Keras objects that are attributes of it.
    """
    found: dict[str, Any] = {}
    for part in _keras.sublayers(layer):
        found.update(defined_beside(type(part)))
        for value in (part, *vars(part).values()):
            thing = value if hasattr(value, "__name__") else type(value)
            # Keras finds its own functions by name, but not TensorFlow's, such as `tf.abs`.
            of_tensorflow = isinstance(value, types.FunctionType) and not _keras.is_keras_own(thing)
            if callable(value) and (of_tensorflow or not is_of_a_library(thing)):
                found[thing.__name__] = thing
    return found


def defined_beside(cls: type) -> dict[str, Any]:
    """The classes and functions of the module that defines a class.

    A function with a name of Keras' own is left out: `"mse"` in a config means Keras'.
    """
    if is_of_a_library(cls):
        return {}
    module = sys.modules.get(cls.__module__)  # none where the code was run by `exec`
    return {
        name: thing
        for name, thing in getattr(module, "__dict__", {}).items()
        if callable(thing)
        and getattr(thing, "__module__", None) == cls.__module__
        and name not in _SHORT_NAMES
        and not any(hasattr(names, name) for names in _KERAS_NAMES)
    }


_SHORT_NAMES = ("accuracy", "acc", "crossentropy", "ce")  # of metrics, in `compile`
_KERAS_NAMES = (
    keras.activations,
    keras.constraints,
    keras.initializers,
    keras.losses,
    keras.metrics,
    keras.regularizers,
)
