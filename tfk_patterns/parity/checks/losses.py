"""Losses that the layer adds."""

from tfk_patterns.parity.check import layer_check
from tfk_patterns.parity.checks.outputs import outputs

_HINT = (
    "A factor that changes with time, such as a warm-up, must be a weight of the layer, not a "
    "Python number; and `add_loss` belongs in `call`, outside any Python condition on state."
)


@layer_check(
    follows=(outputs,),
    link="https://www.tensorflow.org/guide/keras/making_new_layers_and_models_via_subclassing"
    "#the_add_loss_method",
)
def losses(subject):
    """The losses that three calls add are those of eager mode, in number and value."""
    subject.compare_calls("losses", _HINT)
    subject.skip_if_nothing("the layer adds no losses")
