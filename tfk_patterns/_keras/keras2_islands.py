"""What layers that run eagerly in a graph need of Keras 2."""

import contextlib
import importlib
import numbers
from collections.abc import Iterator

import tensorflow as tf
from tensorflow import keras

from tfk_patterns._keras._shared import dtypes_for
from tfk_patterns._keras.common import sublayers


class BaseDynamicLayer(keras.layers.Layer):
    """A layer whose output shapes come from `compute_output_shape`, and whose `call` is not run.

    Args:
        is_dynamic: Keras' own `dynamic`: a model that holds the layer is run eagerly as a whole.
        **kwargs: Of `keras.layers.Layer`.
    """

    output_dtypes = None

    def __init__(self, is_dynamic: bool, **kwargs):
        super().__init__(dynamic=is_dynamic, **kwargs)

    def compute_output_signature(self, input_signature):
        # Keras would not build the layer in a functional model, nor take a tuple for a shape.
        with tf.name_scope(self._name_scope()):
            self._maybe_build(input_signature)
        shapes = self.compute_output_shape(
            tf.nest.map_structure(lambda spec: spec.shape, input_signature)
        )
        specs = _as_specs(shapes)
        return tf.nest.map_structure(
            lambda spec, dtype: tf.TensorSpec(spec.shape, dtype),
            specs,
            dtypes_for(specs, self.output_dtypes or self.compute_dtype),
        )


def _as_specs(shapes):
    """A structure of shapes, tuples of sizes among them, with a `tf.TensorSpec` for each."""
    if isinstance(shapes, dict):
        return {key: _as_specs(shape) for key, shape in shapes.items()}
    if isinstance(shapes, tf.TensorShape) or all(map(_is_size, shapes)):
        return tf.TensorSpec(tf.TensorShape(shapes))
    return type(shapes)(_as_specs(shape) for shape in shapes)


def _is_size(size) -> bool:
    return size is None or isinstance(size, numbers.Integral)


def output_specs(layer, args, kwargs):
    """What `compute_output_shape` promises for the arguments of a call, as `tf.TensorSpec`s."""
    inputs = args[0] if args else next(iter(kwargs.values()))
    signature = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), inputs)
    return layer.compute_output_signature(signature)


def added_losses(layer) -> list:
    """What the layer and those in it have given to `add_loss` in this thread's last call."""
    return [loss for part in sublayers(layer) for loss in part._eager_losses]


@contextlib.contextmanager
def outermost_call() -> Iterator[None]:
    """The next call of a layer in this thread is the outermost one, whatever runs in it."""
    package = keras.layers.Layer.__module__.split(".")[0]
    calls = importlib.import_module(f"{package}.src.engine.base_layer_utils")
    previous = calls.call_context()
    calls._call_context.call_context = calls.CallContext()
    try:
        yield
    finally:
        calls._call_context.call_context = previous


def split_variables(layer) -> tuple[list[tf.Variable], list[tf.Variable]]:
    """The trainable variables of the layer, and all others, of its metrics too."""
    weights = {id(variable): variable for variable in layer.trainable_variables}
    of_metrics = [variable for metric in layer.metrics for variable in metric.variables]
    variables = {id(variable): variable for variable in [*layer.variables, *of_metrics]}
    others = [_inner(variable) for key, variable in variables.items() if key not in weights]
    return [_inner(variable) for variable in weights.values()], others


def _inner(variable):
    """The variable that one of a mixed policy wraps, which gradient tapes know."""
    return getattr(variable, "_variable", variable)


def is_stateless() -> bool:
    """Whether variables have values for the time of a call, as in Keras 3's `stateless_call`."""
    return False


def runs_eagerly(model) -> bool:
    """Whether Keras runs what holds the layer in eager mode alone, for its `dynamic=True`."""
    return any(part._dynamic for part in sublayers(model))


def run_in_mode(model, mode: str) -> None:
    """Makes a compiled model train in one of the modes `eager`, `graph` and `xla`."""
    # Keras refuses False where it runs the model eagerly in any case.
    model.run_eagerly = mode == "eager" or runs_eagerly(model)
    model.jit_compile = mode == "xla"
