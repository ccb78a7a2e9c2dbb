"""What the library needs of Keras 3 on its TensorFlow backend."""

from typing import Any

import tensorflow as tf


def add_exact_weight(
    layer, *, name: str, dtype, shape=(), initializer="zeros", trainable=False, aggregation="none"
):
    """Adds a weight that is stored and read in exactly `dtype`, whatever the dtype policy.

    Args:
        layer: The layer that owns the weight.
        name: Name of the weight.
        dtype: Its dtype.
        shape: Its shape.
        initializer: A Keras initializer.
        trainable: Whether the optimizer moves it.
        aggregation: How the replicas' own writes become one value: `"none"`, `"mean"` or
            `"only_first_replica"`.
    """
    return layer.add_weight(
        name=name,
        shape=shape,
        dtype=dtype,
        initializer=initializer,
        trainable=trainable,
        aggregation=aggregation,
        autocast=False,
    )


def check_generation_of(layer: Any) -> None:
    """Raises a `TypeError` that names the remedy when `layer` is of the other generation."""
    if any(base.__module__.startswith("tf_keras.") for base in type(layer).__mro__):
        raise TypeError(
            "`make` returned a tf_keras layer, which is Keras 2, but `tf.keras` is Keras 3 here: "
            "import keras from tensorflow, or set the environment variable TF_USE_LEGACY_KERAS=1. "
            f"Received: {type(layer).__module__}.{type(layer).__qualname__}"
        )


def trainable_variables(layer) -> list[tf.Variable]:
    """The layer's trainable variables, as a gradient tape takes them."""
    return [variable.value for variable in layer.trainable_variables]


def variable_name(variable) -> str:
    """The name of a variable, as a person would look for it."""
    return variable.path


def supports_jit(layer) -> bool:
    """Whether the layer says that XLA may compile it."""
    return bool(layer.supports_jit)
