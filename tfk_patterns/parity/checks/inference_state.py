"""State in inference."""

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import values_by_name
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.state import is_float, kept_on_purpose, moved

_HINT = (
    "Write state only in training, and not where the layer is frozen (`if training and "
    "self.trainable:`), and pass `training` on to the layers that the layer calls: a prediction "
    "must not change the model."
)


@define_check(
    follows=("outputs", "variables", "random_inference"),
    link="https://keras.io/guides/making_new_layers_and_models_via_subclassing/"
    "#privileged-training-argument-in-the-call-method",
    fast=True,
)
def inference_state(subject):
    """Calls in inference write no variable, in eager mode and in the graph; metrics' left out.

    Bug: State that moves in every call moves in `evaluate` and `predict` too: predictions depend on
    what was predicted before, validation data leak into the model, and a server's model drifts from
    the file it was loaded from. Nothing is said
    (https://github.com/thisisiron/spectral_normalization-tf2/issues/1).

    Broken::

        class Centred(keras.layers.Layer):
            def build(self, input_shape):
                self.mean = self.add_weight(
                    name="mean", shape=input_shape[-1:], initializer="zeros", trainable=False
                )
                self.built = True

            def call(self, inputs):
                self.mean.assign(0.9 * self.mean + 0.1 * tf.reduce_mean(inputs, axis=(0, 1)))
                return inputs - self.mean


        case = LayerCase(Centred, steps)

    Mended::

        class Centred(keras.layers.Layer):
            def build(self, input_shape):
                self.mean = self.add_weight(
                    name="mean", shape=input_shape[-1:], initializer="zeros", trainable=False
                )
                self.built = True

            def call(self, inputs, training=None):
                mean = tf.cast(self.mean, inputs.dtype)
                if training and self.trainable:
                    moved = 0.9 * mean + 0.1 * tf.reduce_mean(inputs, axis=(0, 1))
                    self.mean.assign(tf.cast(moved, self.variable_dtype))
                return inputs - mean


        case = LayerCase(Centred, steps)
    """
    layer = subject.layer()
    before = values_by_name(_keras.state_variables(layer))
    if not before:
        raise Skip("the layer has no variables")
    stateful = kept_on_purpose(layer)
    for mode in ("eager", "graph"):
        after = subject.observe(mode, False).variables
        _require_same(subject, before, after, stateful, f"{mode}, three calls with training=False")
    # What the layer has written when it was called first may be in `before` already.
    before = _with_other_state(layer)
    subject.call(layer, training=False)
    after = values_by_name(_keras.state_variables(layer))
    _require_same(subject, before, after, stateful, "eager, training=False, from another state")


def _with_other_state(layer) -> dict:
    for variable in _keras.state_variables(layer):
        value = np.asarray(tf.convert_to_tensor(variable))
        if is_float(value):
            variable.assign(0.5 * value)
    return values_by_name(_keras.state_variables(layer))


def _require_same(subject, before, after, stateful, where):
    for name, difference in moved(before, after).items():
        if name in stateful:
            subject.tally.left_out[name] = "the layer says `stateful=True`"
        elif not is_float(before[name]) and subject.random_ops(False):
            subject.tally.left_out[name] = "the state of its draws"
        else:
            raise Failure(
                f"{name} {difference.description.replace('where it gives', 'and was')}",
                where,
                _HINT,
                max_abs_error=difference.max_abs_error,
                max_rel_error=difference.max_rel_error,
            )
