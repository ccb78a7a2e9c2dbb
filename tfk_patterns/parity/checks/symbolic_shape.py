"""Shapes and dtypes in functional models."""

from tfk_patterns import _keras
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.comparison import named_leaves
from tfk_patterns.parity.data import batch_size
from tfk_patterns.parity.errors import is_said
from tfk_patterns.parity.masks.output_masks import was_in_compute_mask
from tfk_patterns.parity.outcome import Failure
from tfk_patterns.parity.shapes import symbolic
from tfk_patterns.parity.shapes.resizing import all_grown, has_fixed_size, with_batch


@define_check(
    follows=(
        "outputs",
        "eager_only",
        "wrapped_call",
        "batch_sizes",
        "unknown_dimensions",
        "training_argument",
    ),
    link="https://keras.io/guides/migrating_to_keras_3/",
    fast=True,
)
def symbolic_shape(subject):
    """The outputs have the shapes and dtypes that a functional model has for them, at any size.

    Bug: Keras 3 believes `compute_output_shape` without running the layer, and sizes the next
    layers' weights by it. Where it is wrong, `summary` shows a model that does not exist, and `fit`
    or, worse, only `predict` raises in another layer
    (https://github.com/keras-team/keras/issues/21868).

    Broken::

        class EverySecondStep(keras.layers.Layer):
            def call(self, inputs):
                return inputs[:, ::2]

            def compute_output_shape(self, input_shape):
                batch, length, features = input_shape
                return batch, None if length is None else length // 2, features


        case = LayerCase(EverySecondStep, steps)

    Mended::

        class EverySecondStep(keras.layers.Layer):
            def call(self, inputs):
                return inputs[:, ::2]

            def compute_output_shape(self, input_shape):
                batch, length, features = input_shape
                return batch, None if length is None else (length + 1) // 2, features


        case = LayerCase(EverySecondStep, steps)
    """
    subject.skip_if_not_symbolic()
    _compare_at(subject, subject.reference.fresh(), subject.data, subject.raw_outputs, "the case's")
    longer = all_grown(subject)
    if longer is None:
        return
    try:  # built for the size of the case, which must not show at another
        _compare_at(subject, subject.layer(), *longer, "longer")
    except Failure as failure:
        if not is_said(failure.__cause__) and not has_fixed_size(subject, longer[0]):
            raise
        subject.tally.left_out["longer inputs"] = "the layer is built for one size"


def _compare_at(subject, layer, data, real, which):
    # Where Keras runs `call` for the shapes, one size will do.
    if data is subject.data or _keras.believes_shapes_of(layer):
        _compare(subject, layer, data, real, f"functional model, {which} inputs")
    if symbolic.defines_shape(subject):
        _compare_computed(subject, data, real, f"compute_output_shape, {which} inputs")


def _compare(subject, layer, data, real, where):
    try:
        found = symbolic.symbolic_outputs(subject, layer, data)
    except Failure as failure:
        if was_in_compute_mask(failure):
            failure.check = "mask_shape"
        raise
    defines = _keras.defines(layer, "compute_output_shape")
    hint = symbolic.DEFINED if defines else symbolic.TRACED
    symbolic.compare_specs(found, real, where, hint)
    if batch_size(data) and data is subject.data:
        more = with_batch(data, batch_size(data) + 1)
        real = subject.raw_call(subject.layer(), data=more)
        symbolic.compare_specs(found, real, f"{where}, {batch_size(more)} samples", hint)


def _compare_computed(subject, data, real, where):
    """Compares what `compute_output_shape` says when called; Keras 2 itself does not use it."""
    said = symbolic.computed_shapes(subject.layer(), data, where)
    if said is None:
        subject.tally.left_out["compute_output_shape"] = "the layer says that it has none"
        return
    outputs = list(named_leaves(real, "outputs"))
    if len(said) != len(outputs):
        raise Failure(
            f"`compute_output_shape` gives {len(said)} shapes for {len(outputs)} outputs",
            where,
            symbolic.DEFINED,
        )
    for shape, (name, output) in zip(said, outputs, strict=True):
        says, real_shape = "by `compute_output_shape`", symbolic.dims(output.shape)
        symbolic.require_shape(name, shape, says, real_shape, where, symbolic.DEFINED)
