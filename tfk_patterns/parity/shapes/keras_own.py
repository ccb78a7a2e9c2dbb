"""Layers of Keras' own, inside of another, that are wrong for sizes unknown while tracing."""

from collections.abc import Iterable

import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.calls.inner_calls import InnerCall, inner_calls
from tfk_patterns.parity.shapes.resizing import Axis
from tfk_patterns.parity.subject import Subject


def wrong_for_unknown(subject: Subject, layer, axes: Iterable[Axis], training: bool) -> list[str]:
    """The classes of such layers: traced, they raise an error or give other shapes than in eager.

    Each is called on what it is given in eager mode, so that no error is its own which only comes
    of what the layer around makes of unknown sizes.
    """
    calls = inner_calls(subject, layer, training)
    wrong = [call for call in calls if _is_wrong(call, tuple(axes), training)]
    return sorted({type(call.layer).__name__ for call in wrong})


def _is_wrong(call: InnerCall, axes: tuple[Axis, ...], training: bool) -> bool:
    inputs = call.args[0] if len(call.args) == 1 else None
    if not isinstance(inputs, tf.Tensor) or not call.is_of_keras:
        return False
    unknown = {axis.number for axis in axes if axis.is_in(inputs)}
    shape = [None if number in unknown else size for number, size in enumerate(inputs.shape)]
    kwargs = {"training": training, **call.kwargs}

    def apply(tensor):
        return call.layer(tensor, **kwargs)

    signature = [tf.TensorSpec(shape, inputs.dtype)]
    traced = tf.function(apply, input_signature=signature, autograph=_keras.AUTOGRAPH)
    expected = _shapes(apply(inputs))
    try:
        return _shapes(traced(inputs)) != expected
    except Exception:  # that it raises one where eager mode does not is what is looked for
        return True


def _shapes(outputs) -> list[tuple[int, ...]]:
    return [tuple(leaf.shape) for leaf in tf.nest.flatten(outputs)]
