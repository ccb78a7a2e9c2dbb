"""Outputs."""

from tfk_patterns.parity.across_modes import compare_calls
from tfk_patterns.parity.check import define_check

_HINT = (
    "Python code in `call` runs once, when the graph is traced: a Python counter, NumPy, an "
    "`if` on Python state. Keep state in a weight (add_weight with trainable=False), and use tf "
    "ops."
)


@define_check(link="https://www.tensorflow.org/guide/function#executing_python_side_effects")
def outputs(subject):
    """The outputs of three calls are those of eager mode, in inference and in training."""
    compare_calls(subject, "outputs", _HINT)
    subject.skip_if_nothing("the layer has no outputs")
