"""Samples and their neighbours."""

import numpy as np

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.comparison import named_leaves
from tfk_patterns.parity.data import batch_size, taken
from tfk_patterns.parity.outcome import Skip
from tfk_patterns.parity.repeating import why_not_compared
from tfk_patterns.parity.shapes.resizing import skip_if_fixed, with_batch

_HINT = (
    "In inference a sample must not meet its neighbours: no mean, softmax, sort or cumulative sum "
    "over axis 0, no batch statistics (keep moving ones), no `tf.reshape` or transposition that "
    "moves values from one sample to another."
)


@define_check(
    follows=("outputs", "python_state", "random_inference", "inference_state", "batch_sizes"),
    link="https://keras.io/api/layers/normalization_layers/batch_normalization/",
    fast=True,
)
def batch_independence(subject):
    """In inference a sample's outputs do not depend on its neighbours, nor on their order.

    Bug: A mean, a softmax or statistics over axis 0 make a prediction depend on the other samples
    of its batch. Evaluation on large batches looks good, and one sample in service gets another
    answer. Nothing is said (https://github.com/keras-team/keras/issues/4290).

    Broken::

        class Standardized(keras.layers.Layer):
            def call(self, inputs):
                mean, variance = tf.nn.moments(inputs, axes=[0, 1])
                return (inputs - mean) / tf.sqrt(variance + 1e-3)


        case = LayerCase(Standardized, steps)

    Mended::

        # It keeps moving statistics for inference.
        case = LayerCase(keras.layers.BatchNormalization, steps)
    """
    skip_if_fixed(subject)
    reason = why_not_compared(subject, training=False)
    if reason or subject.is_random(training=False):
        raise Skip(f"outputs are random: {reason or 'draws depend on the place in the batch'}")
    data, size = subject.data, batch_size(subject.data)
    if size == 1:
        data, size = with_batch(data, 2), 2
    layer = subject.layer()
    whole = _results(subject, layer, data)
    parts = {
        "the samples in reverse order": list(range(size))[::-1],
        "the first sample alone": [0],
        "all samples but the first": list(range(1, size)),
    }
    found = {
        where: _results(subject, layer, taken(data, places)) for where, places in parts.items()
    }
    alone = found["the first sample alone"]
    for where, places in parts.items():
        for name, output in whole.items():
            axes = _batch_axes(output, alone.get(name), size)
            if axes is None or name not in found[where]:
                subject.tally.left_out[name] = "its shape depends on the samples"
            elif len(axes) == 1:
                expected = np.take(output, places, axes[0])
                _compare(subject, expected, found[where][name], where, name)
            elif not axes and len(places) == size:
                _compare(subject, output, found[where][name], where, name)
            elif axes:
                subject.tally.left_out[name] = "it compares the samples with one another"
    subject.skip_if_nothing("no output has an axis of samples")


def _compare(subject, expected, actual, where, name):
    subject.compare(expected, actual, where, name, _HINT, source="the whole batch")


def _results(subject, layer, data):
    """The outputs and masks that are arrays, by name."""
    call = subject.call(subject.reference.restore(layer), data=data)
    leaves = [*named_leaves(call.outputs, "outputs"), *named_leaves(call.masks, "masks")]
    return {name: leaf for name, leaf in leaves if isinstance(leaf, np.ndarray)}


def _batch_axes(whole, alone, size):
    """The axes that have the batch's size, also when that is 1; `None` where others change too."""
    if alone is None or whole.ndim != alone.ndim:
        return None
    changed = [axis for axis in range(whole.ndim) if whole.shape[axis] != alone.shape[axis]]
    if any((whole.shape[axis], alone.shape[axis]) != (size, 1) for axis in changed):
        return None
    return changed
