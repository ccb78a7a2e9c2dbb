"""Batches of other sizes."""

import functools
import re

import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import named
from tfk_patterns.parity.calls.watching import watched_calls
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.comparison import named_leaves
from tfk_patterns.parity.data import batch_size
from tfk_patterns.parity.errors import failure_of, in_one_line
from tfk_patterns.parity.modes import nodes_of
from tfk_patterns.parity.numbers.variants import trainings
from tfk_patterns.parity.outcome import Failure
from tfk_patterns.parity.shapes.resizing import skip_if_fixed, with_batch

_HINT = (
    "Take the batch size from this call, `tf.shape(inputs)[0]`, not from `build`, the first call "
    "or an even number; name the axis in `tf.squeeze`, and do not index the first sample."
)
_ONE_SAMPLE = (
    "The variance of one sample, with n - 1 in the denominator, is 0 / 0: divide by "
    "`tf.maximum(n - 1, 1)`, or use `tf.math.divide_no_nan`."
)
_LOSS = (
    "A loss over pairs of samples, or over other samples of the batch, has nothing to take the "
    "mean of where there is one sample or none, as in a last batch shared among replicas: divide "
    "by `tf.maximum(pairs, 1)` or by `tf.math.divide_no_nan`, or give `add_loss` "
    "`tf.cond(tf.shape(inputs)[0] > 1, loss, lambda: 0.0)`."
)

# tf.reshape with -1, and keras.ops.max, min and add.
_NEEDS_SAMPLES = re.compile(r"for an empty tensor|of an empty tensor|Biases must be 1D: \[0")
_CONVOLUTION = "TensorFlow's convolutions give an empty batch the shape of their input"


@define_check(
    follows=("python_state", "leaked_tensors", "wrapped_call"),
    link="https://www.tensorflow.org/guide/tensor#about_shapes",
    fast=True,
)
def batch_sizes(subject):
    """A batch of no sample, of one, and of one more than in the case give outputs of that size.

    Bug: The last batch of an epoch is smaller, and in service there is often one sample.
    `tf.squeeze` without an axis then takes away that of the batch as well: an error after a full
    epoch, or outputs that are broadcast wrongly
    (https://github.com/tensorflow/tensorflow/issues/11701).

    Broken::

        class StepScores(keras.layers.Layer):
            def build(self, input_shape):
                self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], 1))
                self.built = True

            def call(self, inputs):
                return tf.squeeze(tf.matmul(inputs, self.kernel))


        case = LayerCase(StepScores, steps)

    Mended::

        class StepScores(keras.layers.Layer):
            def build(self, input_shape):
                self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], 1))
                self.built = True

            def call(self, inputs):
                return tf.squeeze(tf.matmul(inputs, self.kernel), axis=-1)


        case = LayerCase(StepScores, steps)
    """
    skip_if_fixed(subject)
    full = batch_size(subject.data)
    layer = subject.layer()
    for training in trainings(subject):
        subject.reference.restore(layer)
        expected = _tensors(subject.raw_call(layer, training=training))
        usual = _finite(layer, expected)
        for size in sorted({0, 1, full + 1} - {full}):
            where = f"{_samples(size)}, training={training}"
            found = _called(subject, layer, size, training, where, usual)
            if found is None:
                layer = subject.layer()  # an RNN cell keeps its mask where a call breaks off
            else:
                _require_shapes(subject, layer, training, expected, found, size)
            if size == 1:
                _require_finite(usual, _finite(layer, found), where)


def _called(subject, layer, size, training, where, usual):
    """The tensors it returns, or `None` where the size is more than TensorFlow or Keras take."""
    subject.reference.restore(layer)
    innermost = []
    try:
        with watched_calls(on_error=innermost.append):
            data = with_batch(subject.data, size)
            return _tensors(subject.raw_call(layer, training=training, data=data))
    except Exception as error:
        reason = _why_not_empty(error, innermost, layer) if size == 0 else None
        if reason is None and size == 0 and _convolves(subject, training):
            reason = _CONVOLUTION
        if reason is None:
            hint = f"{_HINT} {_LOSS}" if "losses[0]" in usual and size < 2 else _HINT
            raise failure_of(error, f"{_samples(size)} cannot be called", where, hint) from error
        subject.tally.left_out[where] = reason
        return None


def _samples(size):
    return "1 sample" if size == 1 else f"{size} samples"


def _tensors(outputs):
    """The outputs by name, without those that are ragged or sparse or no tensors."""
    leaves = named_leaves(outputs, "outputs")
    return {name: leaf for name, leaf in leaves if isinstance(leaf, tf.Tensor)}


def _why_not_empty(error, innermost, layer):
    """Why it is not this layer's fault that it takes no empty batch, or `None` where it is."""
    if innermost and innermost[0] is not layer and _keras.is_keras_own(type(innermost[0])):
        name = type(innermost[0]).__name__
        return f"Keras' own {name} takes no empty batch ({in_one_line(error, 80)})"
    if _NEEDS_SAMPLES.search(str(error)) and not _keras.is_keras_own(type(layer)):
        return f"an operation takes no empty batch ({in_one_line(error, 120)})"
    return None


def _convolves(subject, training):
    """Whether the layer uses a convolution, be it in a layer in it."""
    layer = subject.layer()  # one that has seen no empty batch
    call = functools.partial(subject.raw_call, layer, training=training, data=subject.data)
    traced = tf.function(call, autograph=_keras.AUTOGRAPH)
    try:
        graph = traced.get_concrete_function().graph
    except Exception:  # `eager_only` says so; here it is what the empty batch met that counts
        return False
    return any("Conv" in node.op for node in nodes_of(graph))


def _require_shapes(subject, layer, training, expected, found, size):
    where = f"{_samples(size)}, training={training}"
    if expected.keys() != found.keys():
        raise Failure(f"gives {', '.join(found)} instead of {', '.join(expected)}", where, _HINT)
    full = batch_size(subject.data)
    for name, tensor in found.items():
        if _has_ragged(subject.data):
            continue  # what is as long as the longest row depends on the rows
        usual, shape = tuple(expected[name].shape), tuple(tensor.shape)
        fits = _fits(usual, shape, full, size)
        if subject.is_random(training):  # sizes may be drawn too
            fits = len(usual) == len(shape) and _fits(usual[:1], shape[:1], full, size)
        if fits and usual[:1] == shape[:1] == (full,):
            fits = _is_table(subject, name, full)
        if not fits and size == 0 and _convolves(subject, training):
            subject.tally.left_out[where] = _CONVOLUTION
        elif not fits:
            raise Failure(
                f"{name} has shape {shape} for {_samples(size)}, and {usual} for {full}",
                f"{where}: {name}",
                _HINT,
            )


def _fits(usual, shape, full, size):
    """Whether each axis has the size it has for a full batch, or follows that of the batch."""
    if len(usual) != len(shape):
        return False
    for number, (old, new) in enumerate(zip(usual, shape, strict=True)):
        follows = old == full and new == size
        # In the first axis samples may be split into steps, or be picked by their values.
        split = number == 0 and (new * full == old * size or old % full)
        if not (old == new or follows or split):
            return False
    return True


def _is_table(subject, name, full):
    """Whether an output has as many rows as the case has samples, but by chance."""
    data = with_batch(subject.data, full + 1)
    layer = subject.reference.built(subject.reference.fresh(), data)
    return _tensors(subject.raw_call(layer, data=data))[name].shape[0] == full


def _finite(layer, outputs):
    """Whether outputs of a call, and losses and variables after it, are finite, by name."""
    losses = {f"losses[{place}]": loss for place, loss in enumerate(layer.losses)}
    variables = named(_keras.state_variables(layer), _keras.variable_name)
    everything = {**outputs, **losses, **dict(variables)}
    return {name: _is_finite(tensor) for name, tensor in everything.items()}


def _require_finite(usual, found, where):
    for name, is_finite in found.items():
        if usual.get(name, True) and not is_finite:
            hint = _LOSS if name.startswith("losses[") else _ONE_SAMPLE
            raise Failure(f"{name} is not finite for one sample", f"{where}: {name}", hint)


def _is_finite(tensor):
    tensor = tf.convert_to_tensor(tensor)
    return not tensor.dtype.is_floating or bool(tf.reduce_all(tf.math.is_finite(tensor)))


def _has_ragged(data):
    return any(isinstance(leaf, tf.RaggedTensor) for leaf in tf.nest.flatten(data))
