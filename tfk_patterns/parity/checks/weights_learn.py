"""Weights that the optimizer could not move."""

import inspect

import numpy as np

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.modes import MODES
from tfk_patterns.parity.numbers import stuck_weights, variants
from tfk_patterns.parity.outcome import Failure, Skip

_HINT = (
    "A weight that is not to learn needs `trainable=False`; any other must reach an output or a "
    "loss through tf ops alone. A gradient ends at tf.stop_gradient, at an integer, at NumPy, and "
    "at a variable that a tf.py_function captures: pass its value in `inp`."
)
_ZERO_HINT = (
    "The derivative of tf.sign, of rounding and of a comparison is zero: where it is to learn "
    "nevertheless, pass the gradient straight through: `x + tf.stop_gradient(tf.sign(x) - x)`."
)


@define_check(
    follows=("outputs", "eager_only"),
    link="https://www.tensorflow.org/api_docs/python/tf/py_function",
    fast=True,
)
def weights_learn(subject):
    """Every trainable weight gets a gradient in training, in every mode, and not always zero.

    The modes are eager, graph and XLA.

    Bug: No gradient comes back from a comparison, from argmax or rounding, nor to a weight that
    `call` forgets: it keeps its first value however long the model trains. Keras warns in the log
    at most, and of a gradient that is always zero it says nothing
    (https://github.com/keras-team/keras/issues/12521).

    Broken::

        class LearnedThreshold(keras.layers.Layer):
            def build(self, input_shape):
                self.threshold = self.add_weight(name="threshold", shape=(), initializer="zeros")
                self.built = True

            def call(self, inputs):
                return inputs * tf.cast(inputs > self.threshold, inputs.dtype)


        case = LayerCase(LearnedThreshold, steps)

    Mended::

        class LearnedThreshold(keras.layers.Layer):
            def build(self, input_shape):
                self.threshold = self.add_weight(name="threshold", shape=(), initializer="zeros")
                self.built = True

            def call(self, inputs):
                return inputs * tf.sigmoid(10.0 * (inputs - self.threshold))  # a soft comparison


        case = LayerCase(LearnedThreshold, steps)
    """
    flows = {mode: _flows(subject, mode) for mode in MODES if _runs(subject, mode)}
    for name in flows["eager"]:
        has, lacks = ([m for m in flows if flows[m][name] is flow] for flow in (True, False))
        if has and lacks and not subject.is_random(training=True):
            raise Failure(
                f"`{name}` gets no gradient in {' and '.join(lacks)} mode, but one in "
                f"{' and '.join(has)} mode",
                where=f"{lacks[0]}, training=True",
                hint=_HINT,
            )
        if not has:
            _blame_idle(subject, name)
        elif stuck_weights.is_stuck(subject, name):
            raise Failure(
                f"the gradient of `{name}` is zero, at other weights and inputs too",
                where="eager, training=True and False",
                hint=_ZERO_HINT,
            )
        subject.tally.compared += 1


def _runs(subject, mode: str) -> bool:
    """Whether to look at a mode: at XLA only where others, too, compare it."""
    if mode != "xla":
        return True
    draws = subject.random_ops(training=True)
    reason = draws.why_not(mode) or subject.why_not_run(subject.observe, mode, True)
    if reason:
        subject.tally.left_out["xla, training=True"] = reason
    return not reason


def _flows(subject, mode: str, training: bool = True) -> dict[str, bool]:
    """Weight to whether any of the calls gives it a gradient."""
    calls = subject.observe(mode, training).calls
    if not subject.reference.layer.trainable_variables:
        raise Skip("the layer has no trainable weights")
    leaves = _outputs_and_losses(calls)
    if not any(leaf.dtype.kind in "fcV" for leaf in leaves):
        raise Skip("no output is a float, and there are no losses")
    if any(leaf.dtype.kind == "c" for leaf in leaves):
        raise Skip("an output is complex")
    if not calls[0]["weight_gradients"]:
        raise Skip("TensorFlow defines no gradient of an operation that the layer uses")
    names = calls[0]["weight_gradients"]
    return {
        name: any(call["weight_gradients"][name] is not None for call in calls) for name in names
    }


def _outputs_and_losses(calls) -> list[np.ndarray]:
    parts = [variants.all_leaves(call[key], key) for call in calls for key in ("outputs", "losses")]
    return [leaf for part in parts for leaf in part.values()]


def _blame_idle(subject, name: str) -> None:
    """A weight without a gradient in any mode is at fault, unless the case may not use it."""
    if _flows(subject, "eager", training=False).get(name):
        raise Failure(
            f"`{name}` gets no gradient in training, but one in inference",
            where="every mode, training=True",
            hint=_HINT,
        )
    arguments = _unused_arguments(subject)
    if arguments:
        reason = f"it may serve other values of the call's argument `{arguments[0]}`"
        subject.tally.left_out[name] = reason
        return
    raise Failure(
        f"`{name}` is trainable, but gets no gradient in any mode",
        where="every mode, training=True",
        hint=f"{_HINT} Or `call` has forgotten it.",
    )


def _unused_arguments(subject) -> list[str]:
    """Optional arguments of `call` for which the case gives no tensor.

    What only returns more, as `return_state` does, makes no weight idle.
    """
    _, *parameters = inspect.signature(subject.reference.layer.call).parameters.values()
    given = {*subject.case.batched_kwargs, "training"}
    if subject.case.mask is not None:
        given.add("mask")
    return [
        parameter.name
        for parameter in parameters
        if parameter.default is not parameter.empty
        and parameter.name not in given
        and not parameter.name.startswith("return")
    ]
