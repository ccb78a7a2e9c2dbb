"""Shapes and dtypes in functional models."""

from tfk_patterns import _keras
from tfk_patterns.parity import symbolic
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.comparison import named_leaves
from tfk_patterns.parity.data import batch_size
from tfk_patterns.parity.errors import is_said
from tfk_patterns.parity.outcome import Failure
from tfk_patterns.parity.output_masks import was_in_compute_mask
from tfk_patterns.parity.resizing import all_grown, with_batch


@define_check(
    follows=("outputs", "eager_only", "wrapped_call", "batch_sizes", "unknown_dimensions"),
    link="https://keras.io/guides/migrating_to_keras_3/",
    fast=True,
)
def symbolic_shape(subject):
    """The outputs have the shapes and dtypes that a functional model has for them, at any size."""
    subject.skip_if_not_symbolic()
    hint = _hint(subject)
    for where, data, real in _sizes(subject):
        # Not yet built, as in most models; at another size, built for that of the case.
        layer = subject.reference.fresh() if data is subject.data else subject.layer()
        _compare(subject, layer, data, real, f"functional model, {where}", hint)
    _compare_computed(subject)


def _compare(subject, layer, data, real, where, hint):
    try:
        found = symbolic.symbolic_outputs(subject, layer, data)
    except Failure as failure:
        if data is not subject.data and is_said(failure.__cause__):
            subject.tally.left_out[where] = "an error says that the size is fixed"
            return
        if was_in_compute_mask(failure):
            failure.check = "mask_shape"
        raise
    symbolic.compare_specs(found, real, where, hint)
    if batch_size(data) and data is subject.data:
        more = with_batch(data, batch_size(data) + 1)
        real = subject.raw_call(subject.layer(), data=more)
        symbolic.compare_specs(found, real, f"{where}, {batch_size(more)} samples", hint)


def _compare_computed(subject):
    """Compares what `compute_output_shape` says when called; Keras 2 itself does not use it."""
    if not symbolic.defines_shape(subject):
        return
    layer = subject.layer()
    for where, data, real in _sizes(subject):
        where = f"compute_output_shape, {where}"
        said = symbolic.computed_shapes(layer, data, where)
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
            real_shape = symbolic.dims(output.shape)
            says = "by `compute_output_shape`"
            symbolic.require_shape(name, shape, says, real_shape, where, symbolic.DEFINED)


def _sizes(subject):
    """The data of the case, and with all free axes longer, each by another number."""
    yield "the data of the case", subject.data, subject.raw_outputs
    longer = all_grown(subject)
    if longer is not None:
        yield "longer inputs", *longer


def _hint(subject):
    layer = subject.reference.layer
    return symbolic.DEFINED if _keras.defines(layer, "compute_output_shape") else symbolic.TRACED
