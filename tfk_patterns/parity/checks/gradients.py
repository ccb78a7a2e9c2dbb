"""Gradients."""

import numpy as np
import tensorflow as tf

from tfk_patterns.parity.across_modes import TRACE_TIME, calls
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.comparison import named_leaves

_HINT = (
    "A gradient that the graph loses goes through Python: a variable captured by tf.py_function "
    "(pass its value as an input), or a `stop_gradient` under a Python condition."
)


@define_check(
    follows=(*TRACE_TIME, "outputs", "losses", "weights_learn"),
    link="https://www.tensorflow.org/api_docs/python/tf/py_function",
)
def gradients(subject):
    """The gradients by every input and trainable weight are those of eager mode.

    Each element of the outputs enters with a weight of its own, the layer's losses with 1.

    Bug: A number in Python that shapes the gradient alone, as the strength of a reversed gradient
    does, stays in the graph what it was when `call` was traced. The outputs are right, so neither
    predictions nor the loss tell of it: the model only trains otherwise than in eager mode
    (https://github.com/keras-team/keras/issues/13454).

    Broken::

        class ReversedGradient(keras.layers.Layer):
            strength = 0.0

            def call(self, inputs, training=None):
                if training:
                    self.strength = min(1.0, self.strength + 0.1)
                kept = tf.stop_gradient((1.0 + self.strength) * inputs)
                return kept - self.strength * inputs


        case = LayerCase(ReversedGradient, steps)

    Mended::

        class ReversedGradient(keras.layers.Layer):
            def build(self, input_shape):
                self.strength = self.add_weight(
                    name="strength", shape=(), initializer="zeros", trainable=False
                )
                self.built = True

            def call(self, inputs, training=None):
                if training and self.trainable:
                    self.strength.assign_add(0.1)
                strength = tf.minimum(1.0, tf.cast(self.strength, inputs.dtype))
                return tf.stop_gradient((1.0 + strength) * inputs) - strength * inputs


        case = LayerCase(ReversedGradient, steps)
    """
    for where, expected, actual in calls(subject):
        largest = _largest(expected)
        for key in ("input_gradients", "weight_gradients"):
            wanted, found = dict(named_leaves(expected[key], key)), named_leaves(actual[key], key)
            for name, gradient in found:
                pair = _zero_for_none(wanted[name], gradient)
                subject.compare(*pair, where, name, _HINT, magnitude=largest)
    subject.skip_if_nothing(
        "no float inputs and no trainable weights, or TensorFlow defines no gradient"
    )


def _largest(call) -> float:
    """The largest finite magnitude among the gradients of a call."""
    leaves = tf.nest.flatten([call["input_gradients"], call["weight_gradients"]])
    sizes = [np.max(np.abs(g), where=np.isfinite(g), initial=0.0) for g in leaves if g is not None]
    return float(max(sizes, default=0.0))


def _zero_for_none(one, other):
    """A gradient that does not flow in one mode may be one of zeros in another."""
    if one is None and other is not None:
        return np.zeros_like(other), other
    if other is None and one is not None:
        return one, np.zeros_like(one)
    return one, other
