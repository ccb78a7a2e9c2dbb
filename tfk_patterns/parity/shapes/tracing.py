"""A layer traced for axes of unknown size."""

from collections.abc import Iterable

import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity import observation
from tfk_patterns.parity.data import tensors_of, unflatten
from tfk_patterns.parity.errors import in_one_line
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.shapes.resizing import Axis
from tfk_patterns.parity.subject import Subject


def traced(subject: Subject, layer, unknown: Iterable[Axis], training: bool):
    """The layer as a function of the flat tensors, traced while some axes are of unknown size."""
    data = subject.data
    fixed_kwargs = subject.case.fixed_kwargs

    def call(*tensors):
        outputs = observation.call_layer(layer, unflatten(data, tensors), fixed_kwargs, training)
        return {
            "outputs": outputs,
            "masks": observation.masks_of(outputs),
            "losses": [tf.convert_to_tensor(loss) for loss in layer.losses],
        }

    signature = [_spec(leaf, tuple(unknown)) for leaf in tensors_of(data)]
    function = tf.function(call, input_signature=signature, autograph=_keras.AUTOGRAPH)
    subject.reference.restore(layer)
    with equal_circumstances():
        return function.get_concrete_function()


def traceable(subject: Subject, layer, axes: Iterable[Axis], training: bool) -> list[Axis]:
    """Those of the axes that can be unknown together, the batch first.

    A layer that cannot be traced without the size of another axis says so by an error, which is
    loud, so that nobody trains with it by mistake: it is left out.

    Raises:
        Exception: It cannot be traced for an unknown batch size, if the batch is among them.
    """
    axes = list(axes)
    found = [axis for axis in axes if axis.number == 0]
    try:
        traced(subject, layer, axes, training)
    except Exception:
        traced(subject, layer, found, training)
    else:
        return axes
    for axis in axes[len(found) :]:
        try:
            traced(subject, layer, [*found, axis], training)
        except Exception as error:
            reason = f"the layer needs to know it: {in_one_line(error, 80)}"
            subject.tally.left_out[f"axis {axis.number}"] = reason
        else:
            found.append(axis)
    return found


def _spec(leaf, unknown: tuple[Axis, ...]):
    sizes = [
        None if any(axis.number == number and axis.is_in(leaf) for axis in unknown) else size
        for number, size in enumerate(leaf.shape)
    ]
    if isinstance(leaf, tf.SparseTensor):
        return tf.SparseTensorSpec(sizes, leaf.dtype)
    if isinstance(leaf, tf.RaggedTensor):
        return tf.RaggedTensorSpec(sizes, leaf.dtype, leaf.ragged_rank, leaf.row_splits.dtype)
    return tf.TensorSpec(sizes, leaf.dtype)
