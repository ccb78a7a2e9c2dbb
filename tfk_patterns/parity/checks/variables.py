"""Variables that calls write."""

from tfk_patterns.parity.across_modes import TRACE_TIME, pairs
from tfk_patterns.parity.check import define_check

_HINT = (
    "Compute the new value with tf ops from the old one and from tensors, as in "
    "`self.count.assign_add(1)`; a Python number in it is read once, when the graph is traced."
)


@define_check(
    follows=(*TRACE_TIME, "outputs"),
    link="https://www.tensorflow.org/guide/function#executing_python_side_effects",
)
def variables(subject):
    """Every variable is, after three calls, what it is in eager mode; metrics' left out."""
    for pair in pairs(subject):
        subject.compare(pair.eager.variables, pair.other.variables, pair.label, "variables", _HINT)
    subject.skip_if_nothing("the layer has no variables")
