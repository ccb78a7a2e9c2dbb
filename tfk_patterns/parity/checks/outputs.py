"""Outputs."""

from tfk_patterns.parity.across_modes import TRACE_TIME, compare_calls
from tfk_patterns.parity.check import define_check

_HINT = (
    "Python code in `call` runs once, when the graph is traced: look for NumPy, for an `if` on "
    "whether it runs eagerly (`tf.executing_eagerly()`, `hasattr(x, 'numpy')`), and for what is "
    "read from outside of the layer."
)


@define_check(
    follows=TRACE_TIME,
    link="https://www.tensorflow.org/guide/function#executing_python_side_effects",
)
def outputs(subject):
    """The outputs of three calls are those of eager mode, in inference and in training.

    Bug: Code that asks whether it runs eagerly takes one branch where it is tried out and the other
    one in `fit` and `predict`: the model that is trained is not the one that was tested. No error,
    and the shapes agree (https://github.com/tensorflow/tensorflow/issues/38775).

    Broken::

        class Clipped(keras.layers.Layer):
            def call(self, inputs):
                if tf.executing_eagerly():
                    inputs = tf.clip_by_value(inputs, -1.0, 1.0)
                return 2.0 * inputs


        case = LayerCase(Clipped, steps)

    Mended::

        class Clipped(keras.layers.Layer):
            def call(self, inputs):
                return 2.0 * tf.clip_by_value(inputs, -1.0, 1.0)


        case = LayerCase(Clipped, steps)
    """
    compare_calls(subject, "outputs", _HINT)
    if "xla, training=False" not in subject.tally.left_out:
        expected = subject.observe("eager", False).calls[0]["outputs"]
        found = subject.plain_outputs("xla", False)
        subject.compare(expected, found, "xla, training=False, no gradient", "outputs", _HINT)
    subject.skip_if_nothing("the layer has no outputs")
