"""Activations as arguments."""

from collections.abc import Callable

from tensorflow import keras

from tfk_patterns import _validate


def as_activation(name: str, activation: str | Callable | None) -> Callable:
    """The activation of an argument `name`.

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
    if not (activation is None or isinstance(activation, str | dict) or callable(activation)):
        raise _validate.type_error(name, expected, activation)
    try:
        return keras.activations.get(activation)
    except (TypeError, ValueError) as error:  # Keras 3 raises the first for a bad dict
        raise _validate.value_error(name, expected, activation) from error
