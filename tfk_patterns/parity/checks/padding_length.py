"""How much padding there is."""

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.masks import padding
from tfk_patterns.parity.masks.padding_effects import compare_length
from tfk_patterns.parity.numbers.variants import trainings
from tfk_patterns.parity.outcome import Failure
from tfk_patterns.parity.repeating import why_not_compared
from tfk_patterns.parity.shapes.resizing import free_axes, has_fixed_size


@define_check(
    follows=(
        "outputs",
        "masks",
        "python_state",
        "mask_shape",
        "mask_dtype",
        "mask_lost",
        "padding_content",
    ),
    link="https://keras.io/guides/understanding_masking_and_padding/",
    fast=True,
)
def padding_length(subject):
    """More masked steps at the end move no valid output, no loss and no metric.

    Bug: A masked score of 0 still weighs e^0 = 1 in a softmax, and a mean still divides by all
    steps. A sequence gives another result beside a longer one in its batch, and training and
    service pad differently. Nothing is said
    (https://github.com/ilivans/tf-rnn-attention/issues/11).

    Broken::

        class Attend(keras.layers.Layer):
            def call(self, inputs, mask=None):
                if mask is not None:
                    inputs = tf.where(mask[:, :, tf.newaxis], inputs, 0.0)
                scores = tf.reduce_mean(inputs, axis=-1, keepdims=True)
                return tf.reduce_sum(inputs * tf.nn.softmax(scores, axis=1), axis=1)


        case = LayerCase(Attend, steps, mask=mask)

    Mended::

        class Attend(keras.layers.Layer):
            def call(self, inputs, mask=None):
                scores = tf.reduce_mean(inputs, axis=-1, keepdims=True)
                if mask is not None:
                    valid = mask[:, :, tf.newaxis]
                    inputs = tf.where(valid, inputs, 0.0)
                    scores = tf.where(valid, scores, scores.dtype.min)
                return tf.reduce_sum(inputs * tf.nn.softmax(scores, axis=1), axis=1)


        case = LayerCase(Attend, steps, mask=mask)
    """
    padding.skip_if_not_masked(subject)
    layer = subject.layer()
    axes = padding.step_axes(subject.data)
    for axis in axes:
        if axis not in free_axes(subject):
            reason = f"it takes no other size of axis {axis.number} than {axis.size}"
            subject.tally.left_out[f"axis {axis.number}"] = reason
            continue
        for training in trainings(subject):
            draws = subject.is_random(training)
            reason = why_not_compared(subject, training) or ("draws differ" if draws else None)
            if reason:
                subject.tally.left_out[f"training={training}"] = reason
                continue
            try:
                compare_length(subject, layer, axis, training)
            except Failure:
                if not has_fixed_size(subject, padding.padded(subject.data, axis)):
                    raise
                subject.tally.left_out[f"axis {axis.number}"] = "the layer is built for one size"
    subject.skip_if_nothing(
        "; ".join(dict.fromkeys(subject.tally.left_out.values())) or "the mask has no axis of steps"
    )
