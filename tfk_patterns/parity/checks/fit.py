"""Training with `fit`."""

from tfk_patterns.parity.check import layer_check
from tfk_patterns.parity.checks.gradients import gradients
from tfk_patterns.parity.checks.losses import losses
from tfk_patterns.parity.checks.metrics import metrics
from tfk_patterns.parity.checks.outputs import outputs
from tfk_patterns.parity.checks.variables import variables

_HINT = (
    "Python state that changes from step to step is frozen in the compiled step: keep it in a "
    "weight (add_weight with trainable=False)."
)


@layer_check(
    follows=(outputs, losses, metrics, variables, gradients),
    link="https://www.tensorflow.org/guide/function#executing_python_side_effects",
)
def fit(subject):
    """Four steps of `fit` are those of `run_eagerly=True`: losses, weights, state, iterations."""
    for pair in subject.fit_pairs():
        for what in ("step_losses", "history", "variables", "iterations"):
            expected, actual = getattr(pair.eager, what), getattr(pair.other, what)
            subject.compare(expected, actual, pair.label, what, _HINT)
