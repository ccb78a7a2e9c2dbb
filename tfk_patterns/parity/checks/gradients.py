"""Gradients."""

from tfk_patterns.parity.check import layer_check
from tfk_patterns.parity.checks.losses import losses
from tfk_patterns.parity.checks.outputs import outputs

_HINT = (
    "A gradient that the graph loses goes through Python: a variable captured by tf.py_function "
    "(pass its value as an input), or a `stop_gradient` under a Python condition."
)


@layer_check(
    follows=(outputs, losses),
    link="https://www.tensorflow.org/api_docs/python/tf/py_function",
)
def gradients(subject):
    """The gradients by every input and trainable weight are those of eager mode.

    Each element of the outputs enters with a weight of its own, the layer's losses with 1.
    """
    subject.compare_calls("input_gradients", _HINT)
    subject.compare_calls("weight_gradients", _HINT)
    subject.skip_if_nothing(
        "no float inputs and no trainable weights, or TensorFlow defines no gradient"
    )
