"""What the library needs of Keras 2: tf.keras of TensorFlow 2.15, or tf-keras."""

from typing import Any

import tensorflow as tf

_AGGREGATION = {
    "none": {},
    "mean": {
        "synchronization": tf.VariableSynchronization.ON_READ,
        "aggregation": tf.VariableAggregation.MEAN,
    },
}


AUTOGRAPH = True
"""Whether a compiled `fit` converts the `call` of layers with AutoGraph."""


def add_exact_weight(
    layer, *, name: str, dtype, shape=(), initializer="zeros", trainable=False, aggregation="none"
):
    """Adds a weight that is stored and read in exactly `dtype`, whatever the dtype policy.

    Replicas write it each for itself, without waiting for one another.

    Args:
        layer: The layer that owns the weight.
        name: Name of the weight.
        dtype: Its dtype.
        shape: Its shape.
        initializer: A Keras initializer.
        trainable: Whether the optimizer moves it.
        aggregation: What is read outside of the replicas: `"none"` for the first replica's value,
            `"mean"` for the mean over the replicas.
    """
    return layer.add_weight(
        name=name,
        shape=shape,
        dtype=dtype,
        initializer=initializer,
        trainable=trainable,
        experimental_autocast=False,
        **_AGGREGATION[aggregation],
    )


def keep_losses_per_replica(layer) -> None:
    """Makes `add_loss` right where replicas wait for one another in `call`: here it is."""


def check_generation_of(layer: Any) -> None:
    """Raises a `TypeError` that names the remedy when `layer` is of the other generation."""
    if any(base.__module__.startswith("keras.src.") for base in type(layer).__mro__) and not (
        isinstance(layer, tf.Module)
    ):
        raise TypeError(
            "`make` returned a Keras 3 layer, but `tf.keras` is Keras 2 here: import keras from "
            "tensorflow, or unset the environment variable TF_USE_LEGACY_KERAS. "
            f"Received: {type(layer).__module__}.{type(layer).__qualname__}"
        )


def trainable_variables(layer) -> list[tf.Variable]:
    """The layer's trainable variables, as a gradient tape takes them."""
    return list(layer.trainable_variables)


def variable_name(variable) -> str:
    """The name of a variable, as a person would look for it."""
    return variable.name.split(":")[0]


def supports_jit(layer) -> bool:
    """Whether the layer says that XLA may compile it. Keras 2 has no such attribute itself."""
    return bool(getattr(layer, "supports_jit", True))
