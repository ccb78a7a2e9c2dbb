"""Sizes that are unknown while a graph is traced."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from tfk_patterns.parity.arrays import as_arrays
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.compared_losses import compare_losses
from tfk_patterns.parity.comparison import named_leaves
from tfk_patterns.parity.data import batch_size, tensors_of
from tfk_patterns.parity.errors import blamed, failure_of, is_said
from tfk_patterns.parity.numbers.variants import trainings
from tfk_patterns.parity.outcome import Failure
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.repeating import why_not_compared
from tfk_patterns.parity.shapes import symbolic
from tfk_patterns.parity.shapes.keras_own import wrong_for_unknown
from tfk_patterns.parity.shapes.resizing import (
    Axis,
    batch_axis,
    free_axes,
    grown,
    skip_if_fixed,
    with_batch,
)
from tfk_patterns.parity.shapes.tracing import traceable, traced

_HINT = (
    "`inputs.shape[i]` is None for an axis of unknown size, and what Python makes of a known one "
    "is frozen in the graph: use `tf.shape(inputs)[i]`, and -1 in `tf.reshape`."
)


@define_check(
    follows=(
        "outputs",
        "eager_only",
        "wrapped_call",
        "python_state",
        "leaked_tensors",
        "frozen_randomness",
        "batch_sizes",
        "losses",
        "masks",
    ),
    link="https://www.tensorflow.org/guide/function#controlling_retracing",
)
def unknown_dimensions(subject):
    """The layer traced for unknown sizes, of the batch and of free axes, does as in eager mode.

    Free are axes between batch and features whose size the layer does not depend on in eager mode,
    and without which it can be traced: an error for an unknown size of those is left out.

    Bug: `fit` and `export` trace a layer for batches of any size, and `inputs.shape[0]` is then
    `None`. At best that raises; where Python makes a number of it, as in `inputs.shape[0] or 1`,
    the result is silently wrong (https://github.com/tensorflow/tensorflow/issues/36991).

    Broken::

        class Noise(keras.layers.Layer):
            def call(self, inputs, training=None):
                if not training:
                    return inputs
                return inputs + tf.random.normal(inputs.shape, dtype=inputs.dtype)


        case = LayerCase(Noise, steps)

    Mended::

        class Noise(keras.layers.Layer):
            def call(self, inputs, training=None):
                if not training:
                    return inputs
                return inputs + tf.random.normal(tf.shape(inputs), dtype=inputs.dtype)


        case = LayerCase(Noise, steps)
    """
    skip_if_fixed(subject)
    layer, batch = subject.layer(), batch_axis(subject.data)
    free = _judged_axes(subject)
    _require_computed_shape(subject, layer, free)
    for training in trainings(subject):
        if _judge_unless_excused(subject, layer, [batch, *free], training):
            continue
        for axis in [batch, *free] if free else []:  # where a fault of its own may show
            _judge_unless_excused(subject, layer, [axis], training)
    subject.skip_if_nothing("; ".join(dict.fromkeys(subject.tally.left_out.values())))


def _judge_unless_excused(subject, layer, axes, training) -> bool:
    """Returns whether it was judged: not where a layer of Keras' own inside is wrong itself."""
    before = dataclasses.replace(subject.tally)
    try:
        _judge(subject, layer, axes, training)
        return True
    except Failure:
        guilty = wrong_for_unknown(subject, layer, axes, training)
        if not guilty:
            raise
    subject.tally.withdraw(before)
    place = f"graph, training={training}, traced for {_listed(axes)} unknown"
    reason = f"Keras' own {' and '.join(guilty)} is wrong for an unknown size"
    subject.tally.left_out[place] = reason
    return False


def _judge(subject, layer, axes, training):
    where = f"graph, training={training}"
    with blamed("it cannot be traced for an unknown batch size", where, _HINT):
        axes = traceable(subject, layer, axes, training)
        function = traced(subject, layer, axes, training)
    others = [axis for axis in axes if axis.number != 0]
    size = batch_size(subject.data)
    if len(others) < len(axes):
        place = f"{where}, traced for {_listed(axes)} unknown, {size} samples"
        _compare(subject, layer, function, subject.data, training, place)
        size += 1
    if axes:
        data = grown(with_batch(subject.data, size), others)
        place = f"{where}, traced for {_listed(axes)} unknown, {size} samples"
        _compare(subject, layer, function, data, training, place)


def _judged_axes(subject) -> list[Axis]:
    """Free axes; not those that make the features of an output, which a layer may need to know."""
    usual = _features(subject.raw_outputs)
    return [axis for axis, outputs in free_axes(subject).items() if _features(outputs) == usual]


def _features(outputs):
    shapes = [getattr(leaf, "shape", ()) for leaf in tf.nest.flatten(outputs)]
    return [shape[-1] if len(shape) > 1 else None for shape in shapes]


def _compare(subject, layer, function, data, training, where):
    subject.reference.restore(layer)
    call = subject.call(layer, training=training, data=data)
    expected = {"outputs": call.outputs, "masks": call.masks, "losses": call.losses}
    subject.reference.restore(layer)
    try:
        with equal_circumstances():
            actual = function(*tensors_of(data))
    except Exception as error:
        raise failure_of(error, "the traced layer cannot be called", where, _HINT) from error
    actual = as_arrays(actual)
    reason = why_not_compared(subject, training)
    if reason or subject.is_random(training):
        # Draws of one layer go on, and sizes may be drawn as well.
        left = reason or "they are random"
        subject.tally.left_out[f"training={training}"] = f"values and sizes of outputs: {left}"
        expected, actual = _ranks(expected), _ranks(actual)
        for key in expected:
            subject.compare(expected[key], actual[key], where, key, _HINT)
        return
    for key in ("outputs", "masks"):
        subject.compare(expected[key], actual[key], where, key, _HINT)
    compare_losses(subject, expected["losses"], actual["losses"], where, _HINT)


def _ranks(structure):
    return {
        key: {name: np.asarray(np.ndim(leaf)) for name, leaf in named_leaves(part, key)}
        for key, part in structure.items()
    }


def _require_computed_shape(subject, layer, unknown):
    """Fails where `compute_output_shape` reckons with sizes that a functional model leaves open."""
    if not symbolic.defines_shape(subject):
        return
    try:
        symbolic.computed_shapes(layer, subject.data, "compute_output_shape")
    except Failure:  # symbolic_shape says so
        return
    for axis in unknown:
        where = f"compute_output_shape, axis {axis.number} unknown"
        try:
            is_unknown = functools.partial(_has_at, axis)
            symbolic.computed_shapes(layer, subject.data, where, is_unknown)
        except Failure as failure:
            if not is_said(failure.__cause__):
                raise


def _has_at(axis, leaf, number):
    return number == axis.number and axis.is_in(leaf)


def _listed(axes):
    names = [f"axis {axis.number}" if axis.number else "batch" for axis in axes]
    return " and ".join(names)
