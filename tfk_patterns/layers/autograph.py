"""Python `if`, `while` and `for` on tensors in `call`, on every Keras."""

import contextlib
import functools
import inspect

import tensorflow as tf

from tfk_patterns import _keras, _validate


def autograph_call(target):
    """Decorator: Python's `if`, `while` and `for` work on tensors in `call`, on every Keras.

    Keras 2 converts the `call` of layers with AutoGraph; Keras 3 does not, and its guide sends
    users to `@tf.function` on `call`, which loses losses, state and fresh dropout masks. This
    decorator converts `call`, and the functions that it calls, where it is traced, and nothing
    else. In eager mode the lines run as they stand, for a debugger too. On Keras 2 it changes
    nothing.

    Losses, metrics, state, `training` and masks are those of eager mode; `super()`, closures and
    other decorators work. A layer in `call` whose own `call` needs it must be decorated too, and so
    must a `call` that overrides a decorated one. A metric or loss in a tensor's `if` or loop is out
    of the reach of what comes after: make the value there, and add it behind. XLA compiles `if` and
    `for` over a known range, and a `while` whose gradient is asked for when it has a bound
    (`tf.autograph.experimental.set_loop_options(maximum_iterations=...)`). An error has the user's
    file and line in its text.

    Args:
        target: A layer or model class with a `call` of its own, or the `call` itself.

    Returns:
        The class, changed in place, or the new `call`.

    Raises:
        TypeError: It is no class and no plain function.
        ValueError: The class has no `call` of its own, or there is no source for AutoGraph to
            read, as of a lambda or of code from `exec`.

    Example:

    >>> import tensorflow as tf
    >>> from tensorflow import keras
    >>> import tfk_patterns
    >>> @tfk_patterns.layers.autograph_call
    ... class Halved(keras.layers.Layer):
    ...     def call(self, inputs):
    ...         while tf.reduce_max(inputs) > 1.0:
    ...             inputs = inputs / 2.0
    ...         return inputs
    >>> tf.function(Halved())(tf.constant([6.0, 2.0])).numpy().tolist()
    [0.75, 0.25]

    Reference:
        Moldovan et al., "AutoGraph: Imperative-style Coding with Graph-based Performance", 2019,
        https://arxiv.org/abs/1810.08061
    """
    if isinstance(target, type):
        if "call" not in vars(target):
            raise _validate.value_error(
                "target", "a class that defines `call` itself: decorate the one that does", target
            )
        target.call = _convertible(vars(target)["call"])
        return target
    if not callable(target):
        raise _validate.type_error("target", "a layer class, or its `call`", target)
    return _convertible(target)


def _convertible(function):
    """The `call` that AutoGraph converts where it is traced."""
    _check(function)
    if _keras.AUTOGRAPH:
        return function

    @functools.wraps(function)
    def call(*args, **kwargs):
        if tf.executing_eagerly():
            return function(*args, **kwargs)
        return _run_converted(function, args, kwargs)

    return call


def _check(call):
    if isinstance(call, tf.types.experimental.GenericFunction):
        expected = "a plain function: take `@tf.function` away, which loses losses and state"
        raise _validate.type_error("call", expected, call)
    if not inspect.isfunction(call):
        raise _validate.type_error("call", "a plain function, the method of a layer", call)
    if call.__name__ == "<lambda>" or not _has_source(call):
        expected = "made by `def` in a file or a notebook, since AutoGraph reads its source"
        raise _validate.value_error("call", expected, call)


def _has_source(function) -> bool:
    if function.__code__.co_filename == "<string>":  # AutoGraph never converts such
        return False
    try:
        inspect.getsource(function)
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
