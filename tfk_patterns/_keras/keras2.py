"""What the library needs of Keras 2: tf.keras of TensorFlow 2.15, or tf-keras."""

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns._keras._shared import given_metrics, known_training, tensorflow_seed_kept
from tfk_patterns._keras.common import is_metric, state_variables

_AGGREGATION = {
    "none": {},
    "mean": {
        "synchronization": tf.VariableSynchronization.ON_READ,
        "aggregation": tf.VariableAggregation.MEAN,
    },
}


AUTOGRAPH = True
"""Whether a compiled `fit` converts the `call` of layers with AutoGraph."""

ADDS_UP_ROWS = True
"""Whether optimizers add up the rows of a gradient that stand for one row of a variable."""


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


class Operation:
    """Base of what is called with tensors or, in a functional model, with stand-ins for them."""

    def __init__(self, name=None):
        self.name = name

    def __call__(self, *args):
        return self.call(*args)


@tf.autograph.experimental.do_not_convert
def training_of_call(layer) -> bool:
    """What `training` is in the call of the layer that runs, whether its `call` takes it or not."""
    return known_training(_private("engine.base_layer_utils").call_context().training)


@tf.autograph.experimental.do_not_convert
def without_autocast():
    """Variables are read in their own dtype, also in the call of a layer of half precision."""
    return _private("mixed_precision.autocast_variable").enable_auto_cast_variables(None)


def ignored_updates():
    """Of Keras 3 alone: Keras 2 converts `call` itself, and no branch leaks what it assigns."""
    raise NotImplementedError("Keras 2 learns shapes from `call` converted: nothing should ask.")


def traced_output_spec(layer, *args, **kwargs):
    """Of Keras 3 alone: Keras 2 asks no layer for its `compute_output_spec`."""
    raise NotImplementedError("Keras 2 has no `compute_output_spec`: nothing should ask for it.")


def _private(module):
    package = keras.layers.Layer.__module__.split(".")[0]
    return importlib.import_module(f"{package}.src.{module}")


def serialized_loss(loss):
    """What `loss_of` makes a loss of again, be it an object or a function."""
    return keras.saving.serialize_keras_object(loss)  # `losses.serialize` warns of functions


def loss_of(identifier):
    """The loss of a name or of what `serialized_loss` gave; a loss itself."""
    if isinstance(identifier, dict):  # of a function, 2.15 gets no more than its name
        return keras.saving.deserialize_keras_object(identifier)
    return keras.losses.get(identifier)


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


def set_loss_scale(optimizer, scale: float) -> None:
    """Sets the scale of a loss-scale optimizer, dynamic or fixed."""
    if optimizer.dynamic:
        optimizer._loss_scale.current_loss_scale.assign(scale)
    else:
        optimizer._loss_scale = float(scale)


def restore_loss_scale(optimizer, loaded) -> bool:
    """Gives a loaded loss-scale optimizer its scale, which no `.keras` file of Keras 2 holds.

    Returns whether it lacked it. A fixed scale is in the config, so not here.
    """
    if not (optimizer.dynamic and loaded.dynamic):
        return False
    saved, found = optimizer._loss_scale, loaded._loss_scale
    lacked = float(saved.current_loss_scale) != float(found.current_loss_scale)
    found.current_loss_scale.assign(saved.current_loss_scale)
    found.counter.assign(saved.counter)
    return lacked


def metrics_arguments(model) -> dict[str, Any]:
    """What was given to `compile` as `metrics` and as `weighted_metrics`, where it was."""
    return given_metrics(getattr(model, "compiled_metrics", None))


def optimizer_variables(optimizer) -> list:
    """The variables of an optimizer."""
    variables = optimizer.variables
    return list(variables() if callable(variables) else variables)


def is_compiled(model) -> bool:
    """Whether `compile` was called."""
    return bool(model._is_compiled)


def random_states(model) -> list:
    """The variables in which Keras' own random layers keep their state: there are none."""
    return []


def tensorflow_variables_of(thing: Any) -> list[tf.Variable]:
    """The variable that a thing is, or those of a layer; none for anything else."""
    if isinstance(thing, tf.Variable):
        return [thing]
    if isinstance(thing, keras.layers.Layer) and thing.built and not is_metric(thing):
        return state_variables(thing)
    return []


@contextlib.contextmanager
def global_policy(policy) -> Iterator:
    """Makes a dtype policy, or that of a name, the one of all layers made inside."""
    previous = keras.mixed_precision.global_policy()
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")  # Keras says that half precision is slow without a GPU
    try:
        keras.mixed_precision.set_global_policy(policy)
        logger.setLevel(level)
        yield
    finally:
        logger.setLevel(level)
        # Without a policy, the default one follows `set_floatx`.
        is_default = previous.name == keras.backend.floatx()
        keras.mixed_precision.set_global_policy(None if is_default else previous)


@contextlib.contextmanager
def without_global_seed() -> Iterator:
    """Keras' random numbers as where no seed was set; all seeds are as they were after."""
    state = _private("backend")._SEED_GENERATOR
    before = getattr(state, "generator", None)
    state.generator = None
    try:
        with tensorflow_seed_kept():
            yield
    finally:
        state.generator = before


def build_on_replicas(strategy, model, inputs) -> None:
    """Calls a model in the scope of a strategy, so that all of it is built.

    As `fit` does, on the replicas: outside of them no metric can be updated.
    """
    strategy.run(model, (inputs,), {"training": False})


def shape_argument(shape):
    """A shape with `None` for unknown axes, in the form that `compute_output_shape` is given."""
    return tf.TensorShape(shape)


def holds_python_code(layer) -> bool:
    """Whether its config holds code: that of a `Lambda`, whatever its function."""
    return isinstance(layer, keras.layers.Lambda)


def call_exported(loaded, tensors: list):
    """The outputs of a loaded SavedModel of a functional model, in inference."""
    return loaded.serve(tensors[0] if len(tensors) == 1 else tensors)


def believes_shapes_of(layer) -> bool:
    """Whether Keras takes the shapes of outputs from a method of the layer: it runs `call`."""
    return False
