"""What layers that run eagerly in a graph need of Keras 3."""

import contextlib
import importlib
from collections.abc import Iterator

import tensorflow as tf
from tensorflow import keras

from tfk_patterns._keras._shared import dtypes_for
from tfk_patterns._keras.common import sublayers


class BaseDynamicLayer(keras.layers.Layer):
    """A layer whose output shapes come from `compute_output_shape`, and whose `call` is not run.

    Args:
        is_dynamic: Of Keras 2 alone.
        **kwargs: Of `keras.layers.Layer`.
    """

    output_dtypes = None

    def __init__(self, is_dynamic: bool, **kwargs):
        super().__init__(**kwargs)

    def compute_output_spec(self, *args, **kwargs):
        specs = super().compute_output_spec(*args, **kwargs)
        return tf.nest.map_structure(
            lambda spec, dtype: keras.KerasTensor(spec.shape, dtype.name),
            specs,
            dtypes_for(specs, self.output_dtypes or self.compute_dtype),
        )


def output_specs(layer, args, kwargs):
    """What `compute_output_shape` promises for the arguments of a call, as `tf.TensorSpec`s."""
    return tf.nest.map_structure(
        lambda spec: tf.TensorSpec(spec.shape, spec.dtype),
        layer.compute_output_spec(*args, **kwargs),
    )


def added_losses(layer) -> list:
    """What the layer and those in it have given to `add_loss` in the last call."""
    return [loss for part in sublayers(layer) for loss in list(part._losses)]


@contextlib.contextmanager
def outermost_call() -> Iterator[None]:
    """The next call of a layer in this thread is the outermost one, whatever runs in it."""
    state = importlib.import_module("keras.src.backend.common.global_state")
    names = ("current_call_ctx", "autocast_scope")
    before = {name: state.get_global_attribute(name) for name in names}
    for name in names:
        state.set_global_attribute(name, None)
    try:
        yield
    finally:
        for name, value in before.items():
            state.set_global_attribute(name, value)


def split_variables(layer) -> tuple[list[tf.Variable], list[tf.Variable]]:
    """The trainable variables of the layer, and all others, of its metrics too."""
    weights = {id(variable): variable for variable in layer.trainable_variables}
    variables = {
        id(variable): variable for variable in [*layer.variables, *layer.metrics_variables]
    }
    others = [variable._value for key, variable in variables.items() if key not in weights]
    return [variable._value for variable in weights.values()], others


def is_stateless() -> bool:
    """Whether variables have values for the time of a call, as in `stateless_call`."""
    return importlib.import_module("keras.src.backend").in_stateless_scope()


def runs_eagerly(model) -> bool:
    """Whether Keras runs what holds the layer in eager mode alone: it knows no such layer."""
    return False


def run_in_mode(model, mode: str) -> None:
    """Makes a compiled model train in one of the modes `eager`, `graph` and `xla`."""
    model.run_eagerly = mode == "eager"
    model.jit_compile = mode == "xla"
