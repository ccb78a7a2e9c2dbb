"""Functions that are traced again and again."""

import contextlib
import itertools
import re
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import tensorflow as tf

from tfk_patterns.parity import observation
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.data import varied
from tfk_patterns.parity.errors import line_of_frame
from tfk_patterns.parity.objects.python_state import python_state
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.reference import equal_circumstances

_HINT = (
    "`tf.function` traces anew for each new Python value: pass a number as a tensor, and an object "
    "that is the same in each call, or keep it on the layer."
)
_HINT_MADE = (
    "Each function that `tf.function` returns has traces of its own: make it once, in `__init__` "
    "or as a decorated method."
)


@define_check(
    follows=("eager_only", "wrapped_call", "frozen_randomness"),
    link="https://www.tensorflow.org/guide/function#controlling_retracing",
    fast=True,
)
def retracing(subject):
    """Calls on other values of the same shapes trace no `tf.function` again, and make none.

    Bug: A `tf.function` that is made in `call`, or that is given a new Python object in each call,
    is traced each time. Results are right, but a step takes many times longer, memory grows, and
    TensorFlow warns once or twice, if at all
    (https://github.com/google-research/google-research/issues/1485).

    Broken::

        class Activated(keras.layers.Layer):
            @tf.function
            def activated(self, inputs, function):
                return function(inputs)

            def call(self, inputs):
                return self.activated(inputs, lambda x: x * tf.sigmoid(1.7 * x))


        case = LayerCase(Activated, steps)

    Mended::

        class Activated(keras.layers.Layer):
            @tf.function
            def activated(self, inputs):
                return inputs * tf.sigmoid(1.7 * inputs)

            def call(self, inputs):
                return self.activated(inputs)


        case = LayerCase(Activated, steps)
    """
    with equal_circumstances(), _recorded() as made:
        layer = subject.layer()
        _call(subject, layer, 0, training=True)
        if not made and not python_state(layer).functions:
            raise Skip("the layer uses no tf.function of its own")
        for training in (False, True):
            _check(subject, layer, training, made)


def _check(subject, layer, training, made):
    for number in range(2):  # these may trace: the shapes are new
        _call(subject, layer, number, training)
    functions, before = python_state(layer).functions, len(made)
    counts = {path: _traces(function) for path, function in functions.items()}
    for number in range(2, 4):
        _call(subject, layer, number, training)
    if len(made) - before >= 2:
        raise Failure(
            "a new tf.function is made, and traced, in each call",
            where=f"eager, training={training}, line {made[-1]}",
            hint=_HINT_MADE,
        )
    for path, function in functions.items():
        if _traces(function) > counts[path]:
            raise Failure(
                f"`{path}` is traced {_traces(function) - counts[path]} times in two more calls on "
                f"the same shapes{_cause(function)}",
                where=f"eager, training={training}",
                hint=_HINT,
            )


def _call(subject, layer, number, training):
    data = varied(subject.data, number)
    observation.call_layer(layer, data, subject.case.fixed_kwargs, training)


def _traces(function) -> int:
    count = getattr(function, "experimental_get_tracing_count", None)
    return count() if count else 0


def _cause(function) -> str:
    """The argument in which the last two traces differ."""
    signatures = function.pretty_printed_concrete_signatures().split("Input Parameters:")[1:]
    if len(signatures) < 2:
        return ""
    earlier, later = map(_parameters, signatures[-2:])
    for name, value in later.items():
        if earlier.get(name) != value:
            if "eakref" in value:
                return f": its argument `{name}` is a new Python object in each call"
            return f": its argument `{name}` is {_plain(earlier.get(name))}, then {_plain(value)}"
    return ""


def _plain(value: str | None) -> str:
    return re.sub(r"Literal\[(.*?)\]", r"\1", str(value))


def _parameters(signature: str) -> dict[str, str]:
    lines = itertools.takewhile(lambda line: "Output Type" not in line, signature.splitlines())
    found = [re.match(r"\s+(\w+) \([A-Z_]+\): (.*)", line) for line in lines]
    return {match.group(1): match.group(2) for match in found if match}


@contextlib.contextmanager
def _recorded() -> Iterator[list[str]]:
    """The lines of the user's code that call `tf.function`, while it lasts."""
    lines: list[str] = []
    original = tf.function

    def function(*args: Any, **kwargs: Any):
        line = line_of_frame(sys._getframe(1))
        if line:
            lines.append(line)
        return original(*args, **kwargs)

    with mock.patch.object(tf, "function", function):
        yield lines
