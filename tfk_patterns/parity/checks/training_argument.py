"""The `training` argument."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import values_by_name
from tfk_patterns.parity.calls.holders import HoldingLayer
from tfk_patterns.parity.calls.sublayer_training import called_in_training_mode, trains_by_default
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.data import tensors_of
from tfk_patterns.parity.errors import blamed
from tfk_patterns.parity.observation import OMITTED, Call, call_layer, call_of
from tfk_patterns.parity.outcome import Failure
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.state import is_float

_HINT = (
    "Outside of `fit`, `training` left out or None means inference, and in another layer it means "
    "that layer's mode: write `def call(self, inputs, training=None)`, ask `if training:`, keep no "
    "mode on `self`, and pass `training=training` on."
)
_HELD = "called by a layer that is called"
_LITERAL = "Pass `training=training` on to the layers and helpers that `call` uses."
_NOT_REPEATED = "a call cannot be repeated, for draws or hidden state"


@define_check(
    follows=("outputs", "python_state", "random_inference", "inference_state"),
    link="https://keras.io/guides/making_new_layers_and_models_via_subclassing/"
    "#privileged-training-argument-in-the-call-method",
    fast=True,
)
def training_argument(subject):
    """`training` left out or None means inference, and inherited from a layer what it says there.

    Outputs, losses and state are those of a call that says `training=False` or `training=True`.

    Bug: With `training=True` as its default, a layer drops or augments wherever a model is called
    as a function: in `model(x)`, in Grad-CAM, in an exported model. `fit` and `predict` name the
    mode, so all is well there, and no error tells of the rest
    (https://github.com/keisen/tf-keras-vis/issues/26).

    Broken::

        class Block(keras.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.dropout = keras.layers.Dropout(0.5)

            def call(self, inputs, training=True):
                return self.dropout(inputs, training=training)


        case = LayerCase(Block, steps)

    Mended::

        class Block(keras.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.supports_masking = True
                self.dropout = keras.layers.Dropout(0.5)

            def build(self, input_shape):
                self.dropout.build(input_shape)
                self.built = True

            def call(self, inputs, training=None):
                return self.dropout(inputs, training=training)


        case = LayerCase(Block, steps)
    """
    calls = _Calls(subject)
    with called_in_training_mode(calls.layer) as literally:
        inferred = calls.directly(False)
    # Before the calls that name no mode, so that one that the layer keeps would show.
    trained = calls.directly(True)
    if trains_by_default(calls.layer):
        subject.tally.left_out["training left out"] = (
            "Keras' own augmentation trains by default, for tf.data pipelines"
        )
    else:
        _compare(subject, calls, inferred, False, calls.directly(OMITTED), "training left out")
        _compare(subject, calls, inferred, False, calls.directly(None), "training=None")
        _compare(subject, calls, inferred, False, calls.held(OMITTED), f"{_HELD} without training")
    _compare(subject, calls, inferred, False, calls.held(False), f"{_HELD} with training=False")
    held = calls.held(True)
    _compare(subject, calls, trained, True, held, f"{_HELD} with training=True")
    if _same_outputs(inferred, held) and not _same_outputs(inferred, trained):
        text = "the outputs are those of inference where training=True gives others"
        raise Failure(text, f"{_HELD} with training=True", _HINT)
    if literally:
        _require_no_effect(subject, calls, inferred, literally[0])
    subject.skip_if_nothing(_NOT_REPEATED)


@dataclasses.dataclass(frozen=True)
class _Result:
    """What a call gave, and the state that it left."""

    call: Call
    state: dict[str, np.ndarray]


class _Calls:
    """Calls of one layer, each from the reference state."""

    def __init__(self, subject):
        self._subject = subject
        self._kwargs = subject.case.fixed_kwargs
        self.layer = subject.layer()
        self._holder = HoldingLayer(self.layer, subject.data, self._kwargs)

    def directly(self, training: bool | str | None) -> _Result:
        data = self._subject.data
        return self._result(lambda: call_layer(self.layer, data, self._kwargs, training), training)

    def held(self, training: bool | str) -> _Result:
        mode = {} if training == OMITTED else {"training": training}
        return self._result(lambda: self._holder(tensors_of(self._subject.data), **mode), training)

    def _result(self, call: Callable[[], Any], training) -> _Result:
        self._subject.reference.restore(self.layer)
        hint = "Keras gives `training` to `call` only where it is known: let it default to None."
        with blamed("the layer cannot be called", f"training={training}", hint):
            with equal_circumstances():
                outputs = call()
            state = values_by_name(_keras.state_variables(self.layer))
            return _Result(call_of(self.layer, outputs), state)


def _compare(subject, calls, expected, training, found, where):
    source = f"training={training}"
    draws = subject.is_random(training)  # where they have got to says nothing of the mode
    states = [
        {name: value for name, value in result.state.items() if is_float(value) or not draws}
        for result in (expected, found)
    ]
    before = dataclasses.replace(subject.tally)
    try:
        for what in ("outputs", "losses"):
            one, other = getattr(expected.call, what), getattr(found.call, what)
            subject.compare(one, other, where, what, _HINT, source=source)
        subject.compare(*states, where, "variables", _HINT, source=source)
    except Failure:
        if _equal(expected, calls.directly(training)):
            raise
        subject.tally.withdraw(before)
        subject.tally.left_out[where] = _NOT_REPEATED


def _require_no_effect(subject, calls, inferred, name):
    """Fails where a layer in the layer is in training mode in inference, and that shows."""
    with called_in_training_mode(calls.layer, instead=False):
        proper = calls.directly(False)
    if not _same_outputs(inferred, proper):
        raise Failure(
            f"the layer calls {name!r} with training=True, which changes the outputs",
            "eager, training=False",
            _LITERAL,
        )


def _equal(one: _Result, other: _Result) -> bool:
    return _same_outputs(one, other) and _same(one.call.losses, other.call.losses)


def _same_outputs(one: _Result, other: _Result) -> bool:
    return _same(one.call.outputs, other.call.outputs)


def _same(one, other) -> bool:
    one, other = tf.nest.flatten(one), tf.nest.flatten(other)
    return len(one) == len(other) and all(map(_equal_arrays, one, other))


def _equal_arrays(one, other) -> bool:
    return np.array_equal(one, other, equal_nan=np.asarray(one).dtype.kind in "fc")
