"""Arguments that name objects of Keras: activations, initializers, regularizers and others."""

from collections.abc import Callable
from typing import Any

from tensorflow import keras

from tfk_patterns import _validate


def as_keras_object(name: str, value: Any, get: Callable, expected: str):
    """What a `get` function of Keras makes of an argument.

    Args:
        name: The argument, for the error.
        value: What it was given.
        get: Such as `keras.initializers.get`.
        expected: What it must be, for the error.

    Raises:
        TypeError: It is neither a name, nor a config, nor an object that can be called.
        ValueError: Keras knows nothing of that name.
    """
    if not (value is None or isinstance(value, str | dict) or callable(value)):
        raise _validate.type_error(name, expected, value)
    try:
        found = get(value)
    except (TypeError, ValueError) as error:  # Keras 3 raises the first for a bad dict
        raise _validate.value_error(name, expected, value) from error
    if isinstance(found, str):  # what Keras 2 makes of some names that it does not know
        raise _validate.value_error(name, expected, value)
    return found


def as_activation(name: str, activation: str | Callable | None) -> Callable:
    """The activation of an argument; a layer is refused.

    Raises:
        TypeError: It is a layer, or nothing that names an activation.
        ValueError: Keras knows none of that name.
    """
    expected = "the name of a Keras activation, a function, or None"
    is_class = isinstance(activation, type) and issubclass(activation, keras.layers.Layer)
    if is_class or isinstance(activation, keras.layers.Layer):
        raise TypeError(
            f"`{name}` must be {expected}: pass None and put the layer after this one. "
            f"Received: {name}={activation!r}"
        )
    return as_keras_object(name, activation, keras.activations.get, expected)


def as_initializer(name: str, initializer):
    """The initializer of an argument."""
    expected = "a Keras initializer or the name of one"
    if initializer is None:
        raise _validate.type_error(name, expected, initializer)
    return as_keras_object(name, initializer, keras.initializers.get, expected)


def as_regularizer(name: str, regularizer):
    """The regularizer of an argument, or `None`."""
    expected = "a Keras regularizer, the name of one, or None"
    return as_keras_object(name, regularizer, keras.regularizers.get, expected)
