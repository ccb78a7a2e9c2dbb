"""Whether a layer in float64 computes in less somewhere inside."""

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity import observation
from tfk_patterns.parity.modes import nodes_of
from tfk_patterns.parity.numbers import numeric_gradient as numeric
from tfk_patterns.parity.numbers import variants

# Along a short line, what is computed in float64 is straight to its last digits. Step size, and
# how far from straight, relative to the mean: first for float32, then for half precision.
_LEVELS = ((1e-7, 1e-9), (1e-4, 1e-5))
_WIDE = {tf.float64, tf.complex128}
_NARROW = {tf.float32, tf.float16, tf.bfloat16, tf.complex64}


def rounded_outputs(variant: variants.Variant, training: bool) -> str | None:
    """The name of an output or loss of a float64 layer that was rounded to fewer digits.

    The mean over all elements is judged, of which a kink moves few.

    Args:
        variant: The layer in float64, whose calls repeat.
        training: The `training` argument of the calls.
    """
    by = numeric.direction(variant.values, seed=3)
    for step, threshold in _LEVELS:
        line = [
            _leaves(variant, training, numeric.moved(variant.values, by, step * place))
            for place in (1, 2, 3)
        ]
        for name in line[0]:
            first, middle, last = (leaves[name] for leaves in line)
            if np.isfinite([first, middle, last]).all():
                bend = np.mean(np.abs(first - 2 * middle + last)) if middle.size else 0.0
                if bend > threshold * np.mean(np.abs(middle)):
                    return name
    return None


def casts_down(variant: variants.Variant, training: bool) -> bool:
    """Whether the trace of a float64 layer casts wide numbers down, without being forced to."""
    nodes = _nodes(variant, training)
    return any(map(_narrows, nodes)) and not any(map(_forces, nodes))


def is_forced(variant: variants.Variant, training: bool) -> bool:
    """Whether the trace of a float64 layer holds an operation that has no float64 version."""
    return any(map(_forces, _nodes(variant, training)))


def _nodes(variant: variants.Variant, training: bool) -> list:
    """The nodes in the trace of a layer, those in inner functions too."""
    layer, fixed_kwargs = variant.layer, variant.subject.case.fixed_kwargs

    def call(data):
        outputs = observation.call_layer(layer, data, fixed_kwargs, training)
        return outputs, list(layer.losses)

    with _keras.global_policy(variant.policy):
        traced = tf.function(call, autograph=_keras.AUTOGRAPH)
        return nodes_of(traced.get_concrete_function(variant.data).graph)


def _forces(node) -> bool:
    return node.op.startswith(_FLOAT32_ONLY)


# They take float64, or what was cast from it, and give float32.
_FLOAT32_ONLY = (
    "Resize",
    "ScaleAndTranslate",
    "CropAndResize",
    "AdjustContrast",
    "AdjustHue",
    "AdjustSaturation",
    "FakeQuant",
    "FusedBatchNorm",
    "LRN",
    "AvgPool3D",
    "MaxPool3D",
    "NonMaxSuppression",
    "ExtractGlimpse",
    "ImageProjectiveTransform",
    "AudioSpectrogram",
    "Mfcc",
    "CudnnRNN",
)


def _narrows(node) -> bool:
    if node.op == "Cast":
        source, target = node.attr["SrcT"].type, node.attr["DstT"].type
        return tf.as_dtype(source) in _WIDE and tf.as_dtype(target) in _NARROW
    if node.op in ("PyFunc", "PyFuncStateless", "EagerPyFunc"):
        takes = {tf.as_dtype(kind) for kind in node.attr["Tin"].list.type}
        gives = {tf.as_dtype(kind) for kind in node.attr["Tout"].list.type}
        return bool(takes & _WIDE) and bool(gives & _NARROW)
    return False


def _leaves(variant: variants.Variant, training: bool, values) -> dict[str, np.ndarray]:
    call = variant.call(training, values)
    leaves = {
        **variants.float_leaves(call.outputs, "outputs"),
        **variants.float_leaves(call.losses, "losses"),
    }
    # One in float32, as losses often are, shows what it is.
    return {name: leaf for name, leaf in leaves.items() if leaf.dtype == np.float64}
