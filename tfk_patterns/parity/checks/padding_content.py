"""What is written in the padding."""

import dataclasses

from tfk_patterns.parity.calls.inner_calls import inner_calls
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.masks import padding
from tfk_patterns.parity.masks.inner_masks import lets_padding_in
from tfk_patterns.parity.masks.padding_effects import compare_content
from tfk_patterns.parity.numbers.variants import trainings
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.repeating import why_not_compared


@define_check(
    follows=("outputs", "masks", "python_state", "mask_shape", "mask_dtype", "mask_lost"),
    link="https://keras.io/guides/understanding_masking_and_padding/",
    fast=True,
)
def padding_content(subject):
    """Large numbers in masked positions move nothing else.

    No valid output, no gradient of one, no loss, no metric and no state.

    Bug: A plain mean over the steps counts the padding, so what a sequence gives depends on the
    longest one in its batch; layers that take no `mask` do so silently
    (https://github.com/tensorflow/tensorflow/issues/33260).

    Broken::

        class MeanOverSteps(keras.layers.Layer):
            def call(self, inputs):
                return tf.reduce_mean(inputs, axis=1)


        case = LayerCase(MeanOverSteps, steps, mask=mask)

    Mended::

        from tfk_patterns.layers import MaskedPooling1D

        case = LayerCase(lambda: MaskedPooling1D("mean"), steps, mask=mask)
    """
    padding.skip_if_not_masked(subject)
    layer, compared = subject.layer(), False
    for training in trainings(subject):
        reason = why_not_compared(subject, training)
        if reason:
            subject.tally.left_out[f"training={training}"] = reason
            continue
        before = dataclasses.replace(subject.tally)
        try:
            compare_content(subject, layer, training)
            compared = True
        except Failure:
            guilty = _keras_own_that_leak(subject, layer, training)
            if not guilty:
                raise
            subject.tally.withdraw(before)
            reason = f"Keras' own {' and '.join(guilty)} lets padding in"
            subject.tally.left_out[f"training={training}"] = reason
    if not compared:
        raise Skip("; ".join(dict.fromkeys(subject.tally.left_out.values())))


def _keras_own_that_leak(subject, layer, training):
    calls = inner_calls(subject, layer, training)
    leaking = [c for c in calls if lets_padding_in(subject, layer, c, training)]
    return sorted({type(call.layer).__name__ for call in leaking})
