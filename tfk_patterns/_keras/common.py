"""What both generations spell alike, though neither documents all of it."""

import contextlib
import functools
import importlib.metadata
import sys
import threading
from typing import Any

import tensorflow as tf
from tensorflow import keras
from tensorflow.python.eager import context as eager_context
from tensorflow.python.ops import control_flow_util


def installed_package() -> tuple[str, str]:
    """Name and version of the package that `tf.keras` comes from: keras or tf_keras."""
    package = keras.Model.__module__.partition(".")[0]
    return package, importlib.metadata.version(package)


def register(cls: type) -> type:
    """Class decorator: registers a Keras object under the package `tfk_patterns`."""
    return keras.utils.register_keras_serializable(package="tfk_patterns")(cls)


def attach_mask(tensor, mask) -> None:
    """Attaches a Keras mask to a tensor, as an upstream layer would."""
    tensor._keras_mask = mask


def attached_mask(tensor):
    """The Keras mask attached to a tensor, or `None`."""
    return getattr(tensor, "_keras_mask", None)


def metrics_of(layer) -> list:
    """The metrics of the layer and of the layers in it, each once."""
    return list({id(metric): metric for metric in layer.metrics}.values())


def state_variables(layer) -> list:
    """Every variable of the layer, random state included, each once, metrics' left out."""
    owned_by_metrics = {id(v) for metric in layer.metrics for v in metric.variables}
    found = {id(v): v for v in layer.variables if id(v) not in owned_by_metrics}
    return list(found.values())


def sublayers(layer) -> list:
    """The layer and all layers in it, each once."""
    return list({id(part): part for part in layer._flatten_layers()}.values())


def optimizers_of(model) -> list:
    """The optimizers of a model: that of `compile`, and those that are attributes of it."""
    found = [getattr(model, "optimizer", None), *vars(model).values()]
    optimizers = [thing for thing in found if isinstance(thing, keras.optimizers.Optimizer)]
    return list({id(optimizer): optimizer for optimizer in optimizers}.values())


def inner_optimizer(optimizer):
    """The optimizer that a loss-scale optimizer wraps; another one itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def scales_loss(optimizer) -> bool:
    """Whether it is a loss-scale optimizer."""
    return hasattr(optimizer, "inner_optimizer")


def loss_scale(optimizer) -> float:
    """What a loss-scale optimizer multiplies the loss by at the start."""
    return float(optimizer.initial_scale)


def map_gradients(function, gradients: list) -> list:
    """The gradients with a function applied to their values; `None`s and sparse ones stay so."""
    return [_mapped(function, gradient) for gradient in gradients]


def _mapped(function, gradient):
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(function(gradient.values), gradient.indices, gradient.dense_shape)
    return None if gradient is None else function(gradient)


def overrides(model, method: str) -> bool:
    """Whether the class of a model has a method of its own in the place of Keras'."""
    return getattr(type(model), method) is not getattr(keras.Model, method)


def defines(layer, method: str) -> bool:
    """Whether the class of a layer has a method of its own in the place of that of every layer."""
    return getattr(type(layer), method) is not getattr(keras.layers.Layer, method)


@tf.autograph.experimental.do_not_convert
def infers_shapes() -> bool:
    """Whether Keras runs `call` in a graph that it throws away, to learn the shapes of outputs."""
    graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
    while graph is not None:
        name = getattr(graph, "name", "")
        if name == "keras_graph" or "scratch_graph" in name:
            return True
        graph = getattr(graph, "outer_graph", None)
    return False


@tf.autograph.experimental.do_not_convert
def in_step() -> bool:
    """Whether a model's `train_step` or `test_step` runs in this thread: Keras tells no layer."""
    told = getattr(_thread, "in_step", None)
    if told is not None:
        return told
    return any(
        # AutoGraph puts `tf__` before the name.
        frame.f_code.co_name.removeprefix("tf__") in ("train_step", "test_step")
        and isinstance(_first_argument(frame), keras.Model)
        for frame in _frames()
    )


@contextlib.contextmanager
def as_in_step(value: bool | None):
    """Makes `in_step` say so in this thread, where another thread has traced the step."""
    previous = getattr(_thread, "in_step", None)
    _thread.in_step = value
    try:
        yield
    finally:
        _thread.in_step = previous


_thread = threading.local()


@tf.autograph.experimental.do_not_convert
def exports() -> bool:
    """Whether the graph that is traced is to be saved, by `Model.export` for example."""
    package = keras.layers.Layer.__module__.split(".")[0]
    own = (f"{package}.src.export", f"{package}.src.saving.legacy.saved_model")
    savers = (*own, "tensorflow.python.saved_model")
    return any(frame.f_globals.get("__name__", "").startswith(savers) for frame in _frames())


def compiles_with_xla() -> bool:
    """Whether the graph that is traced is one for XLA (`jit_compile=True`)."""
    return control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def _frames():
    """The frames of the Python stack, the caller's first."""
    frame = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _first_argument(frame):
    names = frame.f_code.co_varnames[: frame.f_code.co_argcount]
    return frame.f_locals.get(names[0]) if names else None


def policy_name(layer) -> str:
    """The name of the dtype policy of a layer."""
    return layer.dtype_policy.name


def is_keras_own(thing: Any) -> bool:
    """Whether Keras itself defines a class or function."""
    package = keras.layers.Layer.__module__.split(".")[0]
    return (getattr(thing, "__module__", None) or "").split(".")[0] == package


def global_settings() -> dict[str, Any]:
    """The settings of TensorFlow and Keras that hold for all layers of the process."""
    return {
        "dtype policy": keras.mixed_precision.global_policy().name,
        "floatx": keras.backend.floatx(),
        "epsilon": keras.backend.epsilon(),
        "image data format": keras.backend.image_data_format(),
        "tf.config.run_functions_eagerly": tf.config.functions_run_eagerly(),
        # With a seed of the operation, asking for it does not move TensorFlow's counter.
        "tf.random.set_seed": tf.compat.v1.random.get_seed(1)[0],
    }


def restore_global_settings(settings: dict[str, Any]) -> None:
    """Puts back what differs by now from the result of `global_settings`."""
    setters = {
        "floatx": keras.backend.set_floatx,
        "epsilon": keras.backend.set_epsilon,
        "image data format": keras.backend.set_image_data_format,
        "tf.config.run_functions_eagerly": tf.config.run_functions_eagerly,
        "tf.random.set_seed": lambda seed: tf.random.set_seed(None if seed == _NO_SEED else seed),
        "dtype policy": keras.mixed_precision.set_global_policy,
    }
    found = global_settings()
    for name, set_to in setters.items():
        if found[name] != settings[name]:
            set_to(settings[name])


_NO_SEED = 87654321  # what TensorFlow takes for the seed where none was set


def is_metric(thing: Any) -> bool:
    """Whether it is a metric, which in Keras 2 is a layer."""
    return isinstance(thing, keras.metrics.Metric)


def bookkeeping(cls: type) -> frozenset[str]:
    """The attributes that Keras itself gives to any instance of a kind of Keras objects."""
    for kind in (keras.Model, keras.metrics.Metric, keras.layers.Layer):
        if issubclass(cls, kind):
            return _bookkeeping()[kind]
    return frozenset()


@functools.cache
def _bookkeeping() -> dict[type, frozenset[str]]:
    """What instances of each kind have after their first call, those of no class in particular."""

    class Plain(keras.layers.Layer):
        def build(self, input_shape):
            self.own_weight = self.add_weight(name="own_weight", shape=())
            self.own_layers = [keras.layers.Activation("linear")]
            self.built = True

        def call(self, inputs):
            self.add_loss(tf.reduce_sum(inputs))
            return inputs

    class PlainModel(keras.Model):
        def call(self, inputs):
            return inputs

    symbolic = keras.Input((1,))
    functional = keras.Model(symbolic, Plain()(symbolic))
    models = [PlainModel(), keras.Sequential([Plain()]), functional]
    layer, metric = Plain(), keras.metrics.Mean()
    for thing in (layer, metric, *models):
        thing(tf.zeros((1, 1)))
    found = {
        keras.Model: models,
        keras.metrics.Metric: [metric],
        keras.layers.Layer: [layer],
    }
    return {
        kind: frozenset(
            name for thing in things for name in vars(thing) if not name.startswith("own_")
        )
        for kind, things in found.items()
    }


def recurrent_states(layer) -> list:
    """What stateful recurrent layers keep from call to call; Keras takes it for no weight."""
    return [
        state
        for part in sublayers(layer)
        if getattr(part, "stateful", False)
        for state in tf.nest.flatten(getattr(part, "states", None))
        if state is not None
    ]


@contextlib.contextmanager
def repeated_draws():
    """Lets what eager mode draws from TensorFlow's global state start alike, and puts it back.

    TensorFlow has no public way to read that state.
    """
    state = eager_context.context()
    before = {name: vars(state)[name] for name in ("_seed", "_rng") if name in vars(state)}
    tf.random.set_seed(0)
    try:
        yield
    finally:
        vars(state).update(before)
