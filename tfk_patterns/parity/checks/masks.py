"""Masks."""

from tfk_patterns.parity.across_modes import TRACE_TIME, compare_calls
from tfk_patterns.parity.check import define_check

_HINT = (
    "`compute_mask` runs once, when the graph is traced, and on symbolic tensors: compute the "
    "mask from its arguments with tf ops, never from `.numpy()` or Python state."
)


@define_check(
    follows=(*TRACE_TIME, "outputs"),
    link="https://www.tensorflow.org/guide/keras/understanding_masking_and_padding",
)
def masks(subject):
    """The masks on the outputs are those of eager mode."""
    compare_calls(subject, "masks", _HINT)
    subject.skip_if_nothing("no output carries a mask")
