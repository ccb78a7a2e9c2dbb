"""Infinities that a layer gives by intent, as in logits of what is impossible."""

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity import observation
from tfk_patterns.parity.modes import nodes_of
from tfk_patterns.parity.outcome import Failure
from tfk_patterns.parity.subject import Subject


def why_meant(subject: Subject, training: bool) -> str:
    """Why infinities may be meant, or an empty string."""
    return subject.shared(("infinities", training), lambda: _why_meant(subject, training))


def _why_meant(subject, training) -> str:
    if any(map(_holds_infinity, subject.reference.state)):
        return "a variable starts at infinity, and infinities may be its"
    try:
        subject.observe("graph", training)
    except Failure:  # `eager_only` says so
        return ""
    if any(node.op == "Const" and _is_infinite(node) for node in _nodes(subject, training)):
        return "infinity is a constant in it, and infinities are so by intent"
    return ""


def _nodes(subject, training) -> list:
    layer, fixed_kwargs = subject.layer(), subject.case.fixed_kwargs

    def call(data):
        outputs = observation.call_layer(layer, data, fixed_kwargs, training)
        return outputs, list(layer.losses)

    traced = tf.function(call, autograph=_keras.AUTOGRAPH)
    return nodes_of(traced.get_concrete_function(subject.data).graph)


def _is_infinite(node) -> bool:
    return _holds_infinity(tf.make_ndarray(node.attr["value"].tensor))


def _holds_infinity(array: np.ndarray) -> bool:
    is_float = tf.as_dtype(array.dtype).is_floating
    return is_float and bool(np.isinf(array.astype("float64")).any())
