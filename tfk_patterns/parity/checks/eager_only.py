"""What no graph can hold."""

from tfk_patterns.parity.calls.first_call import state_after_first_call
from tfk_patterns.parity.check import define_check


@define_check(
    follows=("wrapped_call",),
    link="https://www.tensorflow.org/guide/function#limitations",
    fast=True,
)
def eager_only(subject):
    """The layer can be traced, built or not: it runs in `tf.function`, and so in `fit`."""
    for training in (False, True):
        subject.observe("eager", training)  # what fails here is not the graph's matter
        subject.observe("graph", training)
    state_after_first_call(subject)
