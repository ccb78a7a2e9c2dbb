"""Sizes that are unknown while a graph is traced."""

import functools

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity import observation
from tfk_patterns.parity.arrays import as_arrays
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.comparison import named_leaves
from tfk_patterns.parity.data import batch_size, tensors_of, unflatten
from tfk_patterns.parity.errors import failure_of, in_one_line, is_said
from tfk_patterns.parity.numbers.variants import trainings
from tfk_patterns.parity.outcome import Failure
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.repeating import why_not_compared
from tfk_patterns.parity.shapes import symbolic
from tfk_patterns.parity.shapes.keras_own import wrong_for_unknown
from tfk_patterns.parity.shapes.resizing import (
    Axis,
    free_axes,
    grown,
    skip_if_fixed,
    with_batch,
)

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
    """Traced for any batch size, and any size of the axes it leaves free, it does as in eager mode.

    Free are axes between batch and features whose size the layer does not depend on in eager mode,
    and without which it can be traced: an error for an unknown size of those is left out.
    """
    skip_if_fixed(subject)
    layer = subject.layer()
    unknown = _judged_axes(subject)
    _require_computed_shape(subject, layer, unknown)
    size = batch_size(subject.data)
    for training in trainings(subject):
        where = f"graph, training={training}"
        traced, axes = _traced(subject, layer, unknown, training, where)
        for batch in (size, size + 1):
            data = with_batch(subject.data, batch)
            if batch != size:
                data = grown(data, axes)
            place = f"{where}, traced for {_listed(axes)} unknown, {batch} samples"
            try:
                _compare(subject, layer, traced, data, training, place)
            except Failure:
                guilty = wrong_for_unknown(subject, layer, axes, training)
                if not guilty:
                    raise
                reason = f"Keras' own {' and '.join(guilty)} is wrong for an unknown size"
                subject.tally.left_out[place] = reason
    subject.skip_if_nothing("; ".join(dict.fromkeys(subject.tally.left_out.values())))


def _judged_axes(subject) -> list[Axis]:
    """Free axes; not those that make the features of an output, which a layer may need to know."""
    usual = _features(subject.raw_outputs)
    return [axis for axis, outputs in free_axes(subject).items() if _features(outputs) == usual]


def _features(outputs):
    shapes = [getattr(leaf, "shape", ()) for leaf in tf.nest.flatten(outputs)]
    return [shape[-1] if len(shape) > 1 else None for shape in shapes]


def _traced(subject, layer, unknown, training, where):
    """The layer as a function of flat tensors, traced, and which axes are unknown in it."""
    try:
        return _trace(subject, layer, unknown, training), unknown
    except Exception as error:
        if not unknown:
            raise failure_of(
                error, "it cannot be traced for an unknown batch size", where, _HINT
            ) from error
    allowed = []
    _traced(subject, layer, [], training, where)
    for axis in unknown:
        try:
            _trace(subject, layer, [axis], training)
        except Exception as error:  # loud, so nobody trains with it by mistake
            reason = f"the layer needs to know it: {in_one_line(error, 80)}"
            subject.tally.left_out[f"axis {axis.number}"] = reason
        else:
            allowed.append(axis)
    return _trace(subject, layer, allowed, training), allowed


def _trace(subject, layer, unknown, training):
    data = subject.data
    fixed_kwargs = subject.case.fixed_kwargs

    def call(*tensors):
        outputs = observation.call_layer(layer, unflatten(data, tensors), fixed_kwargs, training)
        return {
            "outputs": outputs,
            "masks": observation.masks_of(outputs),
            "losses": [tf.convert_to_tensor(loss) for loss in layer.losses],
        }

    signature = [_spec(leaf, unknown) for leaf in tensors_of(data)]
    function = tf.function(call, input_signature=signature, autograph=_keras.AUTOGRAPH)
    subject.reference.restore(layer)
    with equal_circumstances():
        return function.get_concrete_function()


def _spec(leaf, unknown):
    if isinstance(leaf, tf.SparseTensor):
        return tf.SparseTensorSpec([None, *leaf.shape[1:]], leaf.dtype)
    if isinstance(leaf, tf.RaggedTensor):
        spec = tf.type_spec_from_value(leaf)
        shape = [None, *spec.shape[1:]]
        return tf.RaggedTensorSpec(shape, leaf.dtype, leaf.ragged_rank, leaf.row_splits.dtype)
    shape = list(leaf.shape)
    for number in range(len(shape)):
        if number == 0 or any(axis.number == number and axis.is_in(leaf) for axis in unknown):
            shape[number] = None
    return tf.TensorSpec(shape, leaf.dtype)


def _compare(subject, layer, traced, data, training, where):
    subject.reference.restore(layer)
    call = subject.call(layer, training=training, data=data)
    expected = {"outputs": call.outputs, "masks": call.masks, "losses": call.losses}
    subject.reference.restore(layer)
    try:
        with equal_circumstances():
            actual = traced(*tensors_of(data))
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
    return " and ".join(["batch", *(f"axis {axis.number}" for axis in axes)])
