"""State in inference."""

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import values_by_name
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.state import is_float, kept_on_purpose, moved

_HINT = (
    "Write state only where `training` is true (`if training:`), and pass `training` on to the "
    "layers that the layer calls: a prediction must not change the model."
)


@define_check(
    follows=("outputs", "variables", "random_inference"),
    link="https://keras.io/guides/making_new_layers_and_models_via_subclassing/"
    "#privileged-training-argument-in-the-call-method",
    fast=True,
)
def inference_state(subject):
    """Calls in inference write no variable, in eager mode and in the graph; metrics' left out."""
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
