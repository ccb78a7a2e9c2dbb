"""Training with `fit`."""

from tfk_patterns.parity.across_modes import TRACE_TIME, fit_pairs
from tfk_patterns.parity.check import define_check

_HINT = (
    "Python state that changes from step to step is frozen in the compiled step: keep it in a "
    "weight (add_weight with trainable=False)."
)


@define_check(
    follows=(*TRACE_TIME, "outputs", "losses", "metrics", "variables", "gradients", "loss_scale"),
    link="https://www.tensorflow.org/guide/function#executing_python_side_effects",
)
def fit(subject):
    """Four steps of `fit` are those of `run_eagerly=True`: losses, weights, state, iterations."""
    for pair in fit_pairs(subject):
        for what in ("step_losses", "history", "variables", "iterations"):
            expected, actual = getattr(pair.eager, what), getattr(pair.other, what)
            subject.compare(expected, actual, pair.label, what, _HINT)
