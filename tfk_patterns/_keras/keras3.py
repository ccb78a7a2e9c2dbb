"""What the library needs of Keras 3 on its TensorFlow backend."""

import contextlib
import importlib
import threading
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns._keras._shared import given_metrics, known_training, tensorflow_seed_kept
from tfk_patterns._keras.common import defines, state_variables

AUTOGRAPH = False
"""Whether a compiled `fit` converts the `call` of layers with AutoGraph."""

ADDS_UP_ROWS = False
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
    if aggregation == "none":
        return layer.add_weight(
            name=name,
            shape=shape,
            dtype=dtype,
            initializer=initializer,
            trainable=trainable,
            autocast=False,
        )
    # `add_weight` cannot ask for it; the layer tracks a variable that is set as its attribute.
    return keras.Variable(
        keras.initializers.get(initializer),
        shape=shape,
        dtype=dtype,
        trainable=trainable,
        autocast=False,
        aggregation=aggregation,
        synchronization="on_read",
        name=name,
    )


def keep_losses_per_replica(layer) -> None:
    """Makes `add_loss` right where replicas wait for one another in `call`.

    Keras 3 keeps a layer's losses in one list for all replicas, which run in threads that take
    turns: each clears what another has added, and reads what another adds (docs/findings.md).
    """
    layer._losses = _LossesOfThread()


class _LossesOfThread(threading.local):
    """What Keras 3 uses of the list of a layer's losses, for each thread apart."""

    def __init__(self):
        self._losses = []

    def extend(self, losses):
        self._losses.extend(losses)

    def clear(self):
        self._losses.clear()

    def __getitem__(self, index):
        return self._losses[index]

    def __reduce__(self):
        return (type(self), ())  # a copied layer starts without losses


class Operation(keras.Operation):
    """Base of what is called with tensors or, in a functional model, with stand-ins for them."""


def training_of_call(layer) -> bool:
    """What `training` is in the call of the layer that runs, whether its `call` takes it or not."""
    return known_training(layer._get_call_context().get_value("training"))


def without_autocast():
    """Variables are read in their own dtype, also in the call of a layer of half precision."""
    return importlib.import_module("keras.src.backend").AutocastScope(None)


def ignored_updates():
    """Variables keep their values: for a run of `call` of which the shapes alone are wanted."""
    return _IgnoredUpdates()


class _IgnoredUpdates(keras.StatelessScope):
    def add_update(self, update):
        pass  # what a branch or loop assigns is a tensor of its graph, which nothing else may read


def traced_output_spec(layer, *args, **kwargs):
    """Shapes and dtypes of the outputs from a run of `call`, not from `compute_output_shape`."""
    return keras.Operation.compute_output_spec(layer, *args, **kwargs)


def serialized_loss(loss):
    """What `loss_of` makes a loss of again, be it an object or a function."""
    return keras.losses.serialize(loss)


def loss_of(identifier):
    """The loss of a name or of what `serialized_loss` gave; a loss itself."""
    return keras.losses.get(identifier)


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


def set_loss_scale(optimizer, scale: float) -> None:
    """Sets the scale of a dynamic loss-scale optimizer."""
    optimizer.initial_scale = scale  # read while it is not built
    if optimizer.built:
        optimizer.dynamic_scale.assign(scale)


def restore_loss_scale(optimizer, loaded) -> bool:
    """Does nothing: a `.keras` file holds the scale of a loss-scale optimizer."""
    return False


def metrics_arguments(model) -> dict[str, Any]:
    """What was given to `compile` as `metrics` and as `weighted_metrics`, where it was."""
    return given_metrics(model._compile_metrics)


def optimizer_variables(optimizer) -> list:
    """The variables of an optimizer."""
    return list(optimizer.variables)


def is_compiled(model) -> bool:
    """Whether `compile` was called."""
    return bool(model.compiled)


def random_states(model) -> list:
    """The variables in which Keras' own random layers keep their state."""
    kept = {id(weight) for weight in model.weights}
    return [variable for variable in state_variables(model) if id(variable) not in kept]


def tensorflow_variables_of(thing: Any) -> list[tf.Variable]:
    """The variable that a thing is, or those of a layer or random generator; else none."""
    if isinstance(thing, tf.Variable):
        return [thing]
    if isinstance(thing, keras.Variable):
        return [thing.value]
    if isinstance(thing, keras.layers.Layer) and thing.built:
        return [variable.value for variable in state_variables(thing)]
    if type(thing).__name__ == "SeedGenerator" and isinstance(thing.state, keras.Variable):
        return [thing.state.value]
    return []


@contextlib.contextmanager
def global_policy(policy) -> Iterator:
    """Makes a dtype policy, or that of a name, the one of all layers made inside."""
    previous = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(previous)


@contextlib.contextmanager
def without_global_seed() -> Iterator:
    """Keras' random numbers as where no seed was set; all seeds are as they were after."""
    state = importlib.import_module("keras.src.backend.common.global_state").GLOBAL_STATE_TRACKER
    names = ("global_random_seed", "global_seed_generator")
    before = {name: getattr(state, name, None) for name in names}
    vars(state).update(dict.fromkeys(names))
    try:
        with tensorflow_seed_kept():
            yield
    finally:
        vars(state).update(before)


def build_on_replicas(strategy, model, inputs) -> None:
    """Calls a model in the scope of a strategy, so that all of it is built."""
    model(inputs, training=False)


def shape_argument(shape):
    """A shape with `None` for unknown axes, in the form that `compute_output_shape` is given."""
    return tuple(shape)


def holds_python_code(layer) -> bool:
    """Whether its config holds code: that of a `Lambda` with a lambda in it."""
    values = vars(layer).values() if isinstance(layer, keras.layers.Lambda) else ()
    return any(getattr(value, "__name__", "") == "<lambda>" for value in values)


def call_exported(loaded, tensors: list):
    """The outputs of a loaded SavedModel of a functional model, in inference."""
    return loaded.serve(tensors)


def believes_shapes_of(layer) -> bool:
    """Whether Keras takes the shapes of outputs from a method of the layer, not from `call`."""
    methods = ("compute_output_shape", "compute_output_spec")
    return any(defines(layer, method) for method in methods)
