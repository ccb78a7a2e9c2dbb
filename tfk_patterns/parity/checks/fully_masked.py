"""Samples that are masked whole."""

import numpy as np

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import blamed
from tfk_patterns.parity.masks import masking
from tfk_patterns.parity.numbers import variants
from tfk_patterns.parity.outcome import Failure, Skip

_HINT = (
    "A mean or softmax over no steps divides zero by zero, and a maximum over none is -inf: use "
    "tf.math.divide_no_nan, tf.maximum(count, 1), or a large negative number in the place of -inf. "
    "`tfk_patterns.layers.MaskedPooling1D` gives zeros there."
)
_KINDS = {"one sample is fully masked": slice(0, 1), "all samples are fully masked": slice(None)}


@define_check(
    follows=("outputs", "finite_values"),
    link="https://www.tensorflow.org/guide/keras/understanding_masking_and_padding",
    fast=True,
)
def fully_masked(subject):
    """Outputs, losses, variables and gradients are finite where a sample is masked whole.

    Such a sample is an empty sentence, or fills up the last batch.

    Bug: A mean over the valid steps divides by their number, which is 0 in a sample that is all
    padding: its output is NaN, and so are the loss of the whole batch and every weight after the
    step. Keras' own GlobalAveragePooling1D does it
    (https://github.com/keras-team/keras/issues/18152).

    Broken::

        class MeanOfValid(keras.layers.Layer):
            def call(self, inputs, mask=None):
                if mask is None:
                    return tf.reduce_mean(inputs, axis=1)
                weights = tf.cast(mask, inputs.dtype)[..., tf.newaxis]
                return tf.reduce_sum(weights * inputs, axis=1) / tf.reduce_sum(weights, axis=1)


        case = LayerCase(MeanOfValid, steps, mask=mask)

    Mended::

        class MeanOfValid(keras.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.supports_masking = True

            def call(self, inputs, mask=None):
                if mask is None:
                    return tf.reduce_mean(inputs, axis=1)
                weights = tf.cast(mask, inputs.dtype)[..., tf.newaxis]
                total = tf.reduce_sum(weights * inputs, axis=1)
                return tf.math.divide_no_nan(total, tf.reduce_sum(weights, axis=1))

            def compute_mask(self, inputs, mask=None):
                return None  # there are no steps any more


        case = LayerCase(MeanOfValid, steps, mask=mask)
    """
    if subject.case.mask is None:
        raise Skip("the case has no mask")
    made = variants.as_made(subject)
    for training in variants.trainings(subject):
        for kind, samples in _KINDS.items():
            variant = variants.with_data(made, masking.fully(subject.data, samples))
            with blamed(f"the layer cannot be called where {kind}", "eager", _HINT):
                found = variant.differentiated(training)
            for part, structure in found.items():
                for name, leaf in variants.float_leaves(structure, part).items():
                    _judge(name, leaf, training, kind)
                    subject.tally.compared += 1
    subject.skip_if_nothing("no output is a float")


def _judge(name: str, leaf: np.ndarray, training: bool, kind: str) -> None:
    wide = leaf.astype("float64")
    if np.isfinite(wide).all():
        return
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(wide))[0])
    place = f" at {list(index)}" if index else ""
    raise Failure(
        f"{name} is {wide[index]}{place} where {kind}",
        where=f"eager, training={training}: {name}",
        hint=_HINT,
    )
