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
    """The masks on the outputs are those of eager mode.

    Bug: A `compute_mask` that can read values in eager mode only returns another mask in `fit`, and
    the layers after it then take padding for data, or data for padding. No error and no warning
    (https://www.tensorflow.org/api_docs/python/tf/executing_eagerly).

    Broken::

        class ValidSteps(keras.layers.Layer):
            def call(self, inputs):
                return inputs[:, :, 1:]  # the first feature says which steps are valid

            def compute_mask(self, inputs, mask=None):
                if hasattr(inputs, "numpy"):  # a graph has no values yet
                    return mask & (inputs.numpy()[:, :, 0] > 0.0)
                return mask


        case = LayerCase(ValidSteps, steps, mask=mask)

    Mended::

        class ValidSteps(keras.layers.Layer):
            def call(self, inputs):
                return inputs[:, :, 1:]  # the first feature says which steps are valid

            def compute_mask(self, inputs, mask=None):
                valid = inputs[:, :, 0] > 0.0
                return valid if mask is None else mask & valid


        case = LayerCase(ValidSteps, steps, mask=mask)
    """
    compare_calls(subject, "masks", _HINT)
    subject.skip_if_nothing("no output carries a mask")
