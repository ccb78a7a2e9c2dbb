"""`call`, or a method that it calls, wrapped in `tf.function`."""

import types
from typing import Any

import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import values_by_name, without_number
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import failure_of
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.randomness import all_equal

_HINT = (
    "Keras 3 traces the function when it builds the layer, and the trace that knows of no losses, "
    "state or generators is used ever after: take `@tf.function` away. For a Python `if` or `for` "
    "on tensors use `tfk_patterns.layers.autograph_call`, or tf.cond and tf.while_loop."
)


@define_check(link="https://keras.io/guides/migrating_to_keras_3/", fast=True)
def wrapped_call(subject):
    """A method wrapped in `tf.function` does what it does unwrapped: losses, state, metrics, draws.

    Bug: `@tf.function` on `call` looks like the way to make a layer fast. Where such a `call` adds
    a loss, `fit` of Keras 2 raises. That of Keras 3 says nothing: it trains without the loss, and
    counters and metrics stay at 0 (https://github.com/tensorflow/tensorflow/issues/34556).

    Broken::

        class Penalized(keras.layers.Layer):
            @tf.function
            def call(self, inputs):
                self.add_loss(0.1 * tf.reduce_mean(tf.square(inputs)))
                return inputs


        case = LayerCase(Penalized, steps)

    Mended::

        class Penalized(keras.layers.Layer):
            @tf.function  # no losses, state or draws in here
            def penalty(self, inputs):
                return 0.1 * tf.reduce_mean(tf.square(inputs))

            def call(self, inputs):
                self.add_loss(self.penalty(inputs))
                return inputs


        case = LayerCase(Penalized, steps)
    """
    names = _wrapped_methods(subject.reference.fresh())
    if not names:
        names = _wrapped_methods(subject.reference.layer)
    if not names:
        raise Skip("no method of the layer is wrapped in tf.function")
    listed = " and ".join(names)
    for situation, built in (("", _restored), (" after a functional model", _modelled)):
        where = f"the layer called eagerly{situation}"
        try:
            layers = [built(subject, subject.reference.fresh()) for _ in range(3)]
        except Skip as skip:
            subject.tally.left_out[where] = skip.reason
            continue
        plain, again = (_results(subject, _unwrapped(layer)) for layer in layers[:2])
        try:
            wrapped = _results(subject, layers[2])
        except Exception as error:
            raise failure_of(
                error, f"{listed} is wrapped in tf.function, and fails", where, _HINT
            ) from error
        try:
            _compare(subject, plain, wrapped, all_equal([plain, again]), listed, where)
        except Failure:
            if _counts_in_python(subject):
                raise Skip("the layer changes what it keeps in Python: see python_state") from None
            raise


def _compare(subject, plain, wrapped, repeats, listed, where):
    """Compares what calls give with and without `tf.function`: values only where draws repeat."""
    source = "the plain method"
    try:
        if repeats:
            for key in ("losses", "outputs", "variables", "metrics"):
                subject.compare(plain[key], wrapped[key], where, key, source=source)
        elif len(plain["losses"][0]) != len(wrapped["losses"][0]):
            raise Failure(
                f"adds {len(wrapped['losses'][0])} losses where {source} adds "
                f"{len(plain['losses'][0])}",
                where=where,
            )
        elif all_equal(wrapped["outputs"]) and not all_equal(plain["outputs"]):
            raise Failure(
                f"the outputs of three calls are the same where {source} draws anew", where=where
            )
    except Failure as failure:
        raise Failure(
            f"{listed} is wrapped in tf.function: {failure.message}",
            failure.where,
            _HINT,
            failure.max_abs_error,
            failure.max_rel_error,
        ) from failure


def _counts_in_python(subject) -> bool:
    """Whether eager calls change Python values: a function that is given one is traced anew."""
    before, *after = subject.observe("eager", True).python
    return any(one != before for one in after)


def _results(subject, layer) -> dict[str, Any]:
    """What three calls in training on the same data give."""
    calls = [subject.call(layer, training=True) for _ in range(3)]
    return {
        "outputs": [call.outputs for call in calls],
        "losses": [call.losses for call in calls],
        "variables": values_by_name(_keras.state_variables(layer)),
        "metrics": {
            without_number(metric.name): values_by_name(metric.variables)
            for metric in _keras.metrics_of(layer)
        },
    }


def _restored(subject, layer):
    return subject.reference.restore(subject.reference.built(layer))


def _modelled(subject, layer):
    """The layer, first called on symbolic tensors."""
    try:
        subject.functional(layer)
    except Failure as failure:  # the plain method need not be able to either
        raise Skip(failure.message) from failure
    return _restored(subject, layer)


def _unwrapped(layer):
    """The layer with the plain functions in the place of those that `tf.function` made."""
    for part in _keras.sublayers(layer):
        for name in _functions_of(part):
            if name in vars(part):  # it wraps a bound method
                vars(part)[name] = vars(part)[name].python_function
            else:
                function = getattr(type(part), name).python_function
                vars(part)[name] = types.MethodType(function, part)
    return layer


def _wrapped_methods(layer) -> list[str]:
    return [
        f"`{type(part).__name__}.{name}`"
        for part in _keras.sublayers(layer)
        for name in _functions_of(part)
    ]


def _functions_of(layer) -> list[str]:
    """The names of attributes that hold what `tf.function` returned."""
    attributes = {
        name: value for cls in reversed(type(layer).__mro__) for name, value in vars(cls).items()
    }
    attributes |= vars(layer)
    kind = tf.types.experimental.GenericFunction
    return [
        name
        for name, value in attributes.items()
        if isinstance(value, kind) and hasattr(value, "python_function")
    ]
