"""Python `if`, `while` and `for` on tensors in `call`, on every Keras."""

import contextlib
import functools
import inspect

import tensorflow as tf

from tfk_patterns import _keras, _validate


def autograph_call(target):
    """Gives `call` its Python `if`, `while` and `for` on tensors, on every Keras.

    Keras 2 converts `call` with AutoGraph where it makes a graph of it. Keras 3 does not, and what
    its migration guide advises, `@tf.function` on `call`, loses losses, state and dropout without a
    word. Decorate the class of a layer or model, or its `call`: in a graph, AutoGraph's version of
    `call` then runs, and of the functions and methods that it calls. Losses, state, metrics,
    `training`, masks, names and files stay with Keras. In eager mode the function runs as it is
    written, where a debugger steps through it; and on Keras 2 always, which converts it itself.

    A class is decorated for itself: a subclass with a `call` of its own needs the decorator again,
    though `super().call(...)` in it runs converted; and so does each layer that is called.

    Within a branch or loop on a tensor, `assign`, `update_metric` of `MetricTracking` and calls of
    layers that are built do what they say. `add_loss` does not, as on Keras 2: give the term a
    value before the branch, and add it after. Nor can `stateless_call` in a graph say what was
    assigned there. Branches must agree in the dtypes of what they set. XLA takes gradients through
    a loop only with a limit that it can know: that of a `range` over a static shape, or
    `tf.autograph.experimental.set_loop_options(maximum_iterations=...)` as the first line of the
    loop. AutoGraph knows neither `match` nor `:=`: TensorFlow warns, and runs the function as it
    is.

    Args:
        target: A class with a `call` of its own, of layers or models, or such a `call`.

    Returns:
        The same class, or a function with the signature of that given.

    Raises:
        TypeError: It is given neither, or `call` is wrapped in `tf.function` or no plain function.
        ValueError: The class inherits `call` or is Keras' own, or AutoGraph could not read the
            source of `call`: a lambda, or code typed into an interpreter or run by `exec`.

    Example:

    >>> import tensorflow as tf
    >>> from tensorflow import keras
    >>> import tfk_patterns
    >>> @tfk_patterns.layers.autograph_call
    ... class Halving(keras.layers.Layer):
    ...     def call(self, inputs):
    ...         while tf.reduce_max(tf.abs(inputs)) > 1.0:
    ...             inputs = inputs / 2.0
    ...         return inputs
    >>> model = keras.Sequential([keras.Input((2,)), Halving()])
    >>> model.predict(tf.constant([[3.0, -6.0]]), verbose=0)
    array([[ 0.375, -0.75 ]], dtype=float32)

    Reference:
        AutoGraph, https://www.tensorflow.org/guide/function#autograph_transformations;
        "Migrating Keras 2 code to multi-backend Keras 3",
        https://keras.io/guides/migrating_to_keras_3/
    """
    if isinstance(target, type):
        if "call" not in vars(target) or _keras.is_keras_own(target):
            expected = "a class of your own that defines `call` itself: decorate the one that does"
            raise _validate.value_error("target", expected, target)
        target.call = _convertible(vars(target)["call"])
        return target
    if not callable(target):
        raise _validate.type_error("target", "a class that defines `call`, or its `call`", target)
    return _convertible(target)


def _convertible(function):
    _check(function)
    if _keras.AUTOGRAPH:
        return function

    @functools.wraps(function)
    def call(*args, **kwargs):
        if tf.executing_eagerly():
            return function(*args, **kwargs)
        return _run_converted(function, args, kwargs)

    call.__signature__ = inspect.signature(function)  # not all that ask follow `__wrapped__`
    return call


def _check(call) -> None:
    if isinstance(call, tf.types.experimental.GenericFunction):
        expected = "a plain function: take `@tf.function` away, which loses losses and state"
        raise _validate.type_error("call", expected, call)
    if not inspect.isfunction(call):
        raise _validate.type_error("call", "a plain function, the method of a layer", call)
    if call.__name__ == "<lambda>" or not _has_source(call):
        expected = "made by `def` in a file or a notebook, since AutoGraph reads its source"
        raise _validate.value_error("call", expected, call)


def _has_source(function) -> bool:
    if function.__code__.co_filename == "<string>":  # which AutoGraph never converts
        return False
    try:
        inspect.getsource(function.__code__)  # its own, not that of what it wraps
    except OSError:
        return False
    return True


@tf.autograph.experimental.do_not_convert
def _run_converted(function, args, kwargs):
    """Runs what AutoGraph makes of a function, and of the functions that it calls."""
    # What a branch assigns belongs to the branch, and shapes alone are asked for.
    infers_shapes = _keras.infers_shapes()
    with _keras.ignored_updates() if infers_shapes else contextlib.nullcontext():
        try:
            return _converted_apply()(function, args, kwargs)
        except Exception as error:
            raise _located(error) from None


@functools.cache
def _converted_apply():
    """To convert a user's function itself would lose its lines in errors."""
    return tf.autograph.to_graph(_apply)


def _apply(function, args, kwargs):
    return function(*args, **kwargs)


def _located(error):
    """The error with the files and lines of the user in its message, which AutoGraph keeps."""
    metadata = getattr(error, "ag_error_metadata", None)
    if metadata is None:
        return error
    located = metadata.to_exception(error)
    if type(located) is not type(error):  # one that AutoGraph cannot make again
        error.args = (metadata.get_message(),)
        return error
    return located
