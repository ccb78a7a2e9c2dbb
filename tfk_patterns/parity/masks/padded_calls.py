"""What a call on padded data gives and leaves, by name, where it is to be free of the padding."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import as_arrays, named, values_by_name, without_number
from tfk_patterns.parity.comparison import named_leaves
from tfk_patterns.parity.data import Data
from tfk_patterns.parity.masks import padding
from tfk_patterns.parity.observation import weighted_sum
from tfk_patterns.parity.subject import Subject

_REGULARIZER = "Keras applies an `activity_regularizer` to padding too"


def ready(subject: Subject, layer, training: bool):
    """The layer in the reference state; a fresh one where it has more state than Keras lists."""
    if subject.is_stateful or subject.is_random(training):
        return subject.layer()
    return subject.reference.restore(layer)


def called(subject: Subject, layer, data: Data, training: bool) -> tuple[Any, dict[str, Any]]:
    """What a layer returns as it is, and its losses by name: a metric may count the padding."""
    layer = ready(subject, layer, training)
    with _without_activity_regularizers(subject, layer):
        outputs = subject.raw_call(layer, training=training, data=data)
        return outputs, _losses(layer)


def effects(
    subject: Subject, layer, data: Data, training: bool, valid: dict[str, np.ndarray] | None = None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Valid outputs, their gradients, losses, metrics and state after the call, by name.

    Args:
        subject: The subject of the check.
        layer: The layer.
        data: What to call it on.
        training: The `training` argument of the call.
        valid: Where each output is valid; what this call says of it by default.

    Returns:
        Those, and where each output is valid.
    """
    layer = ready(subject, layer, training)
    masks = dict(zip(_names(data), padding.input_masks(data), strict=True))
    inputs = {n: leaf for n, leaf in named_leaves(data["inputs"], "inputs") if _is_float(leaf)}
    weights = dict(
        zip(
            values_by_name(layer.trainable_variables),
            _keras.trainable_variables(layer),
            strict=True,
        )
    )
    with _without_activity_regularizers(subject, layer), tf.GradientTape() as tape:
        tape.watch(list(inputs.values()))
        outputs = subject.raw_call(layer, training=training, data=data)
        if valid is None:
            valid = padding.valid_outputs(data, outputs)
        kept = {name: only(valid[name], leaf) for name, leaf in tensors(outputs).items()}
        target = weighted_sum(kept)
        found = {name: np.asarray(output) for name, output in kept.items()}
        found |= _losses(layer) | _metrics(layer)
    found |= {f"state {name}": value for name, value in _float_state(layer).items()}
    zero = tf.UnconnectedGradients.ZERO
    try:
        by_inputs, by_weights = tape.gradient(target, (inputs, weights), unconnected_gradients=zero)
    except LookupError:  # TensorFlow defines no gradient of an operation
        return found, valid
    for name, gradient in by_inputs.items():
        found[f"gradient by {name}"] = np.asarray(_only_unmasked(gradient, masks[name]))
    for name, gradient in by_weights.items():
        found[f"gradient by {name}"] = np.asarray(tf.convert_to_tensor(gradient))
    return found, valid


def tensors(outputs: Any) -> dict[str, tf.Tensor]:
    """The dense tensors among outputs, by name."""
    leaves = named_leaves(outputs, "outputs")
    return {name: leaf for name, leaf in leaves if isinstance(leaf, tf.Tensor)}


def only(valid: np.ndarray, array):
    """The values where they are valid, and zeros of their dtype elsewhere."""
    if isinstance(array, np.ndarray):
        return np.where(valid, array, np.zeros_like(array))
    return tf.where(valid, array, tf.zeros_like(array))


@contextlib.contextmanager
def _without_activity_regularizers(subject, layer) -> Iterator[None]:
    """Lets the penalties be zero that Keras itself takes of all outputs: they are no layer's."""
    parts = [part for part in _keras.sublayers(layer) if part.activity_regularizer is not None]
    regularizers = [part.activity_regularizer for part in parts]
    if parts:
        subject.tally.left_out["activity_regularizer"] = _REGULARIZER
    try:
        for part in parts:
            part.activity_regularizer = _nothing
        yield
    finally:
        for part, regularizer in zip(parts, regularizers, strict=True):
            part.activity_regularizer = regularizer


def _nothing(output):
    return tf.zeros((), output.dtype)


def _losses(layer) -> dict[str, np.ndarray]:
    return {f"losses[{place}]": _as_array(loss) for place, loss in enumerate(layer.losses)}


def _metrics(layer) -> dict[str, np.ndarray]:
    return {
        name: _as_array(value)
        for metric_name, metric in named(_keras.metrics_of(layer), lambda m: without_number(m.name))
        for name, value in named_leaves(metric.result(), f"metric {metric_name}")
    }


def _as_array(value) -> np.ndarray:
    return as_arrays(tf.convert_to_tensor(value))


def _float_state(layer) -> dict[str, np.ndarray]:
    values = values_by_name(_keras.state_variables(layer))
    return {name: value for name, value in values.items() if value.dtype.kind == "f"}


def _names(data) -> list[str]:
    return [name for name, _ in named_leaves(data["inputs"], "inputs")]


def _only_unmasked(gradient, mask):
    if mask is None:
        return gradient
    keep = tf.reshape(mask, [*mask.shape, *([1] * (gradient.shape.rank - mask.shape.rank))])
    return tf.where(keep, gradient, tf.zeros_like(gradient))


def _is_float(leaf) -> bool:
    return isinstance(leaf, tf.Tensor) and leaf.dtype.is_floating
