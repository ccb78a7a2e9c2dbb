"""Infinities that a layer gives by intent, as in logits of what is impossible."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity import observation
from tfk_patterns.parity.data import batch_size, taken
from tfk_patterns.parity.modes import nodes_of
from tfk_patterns.parity.numbers import variants
from tfk_patterns.parity.outcome import Failure

# Far less than the distance of two numbers in a case, far more than what rounds away.
_NEARBY = 1e-4


def meant(
    variant: variants.Variant, training: bool, part: str, name: str, infinite: np.ndarray
) -> np.ndarray:
    """Where a result is infinite by intent: it is no number that went wrong.

    It is so where it is infinite at quite other inputs too, or, in a layer that holds infinity as
    a constant, at all inputs nearby: a division by zero and a logarithm of zero are not.

    Args:
        variant: The layer and its data.
        training: The `training` argument of its call.
        part: What of `Variant.differentiated` the result is in.
        name: Its name in there.
        infinite: Where it is infinite at the case's own inputs.
    """

    def stays(calls: Callable) -> np.ndarray:
        shared = variant.subject.shared(
            (calls.__name__, training), lambda: calls(variant, training)
        )
        leaves = [variants.float_leaves(results[part], part).get(name) for results in shared]
        kept = [
            np.isinf(leaf.astype("float64"))
            for leaf in leaves
            if leaf is not None and leaf.shape == infinite.shape
        ]
        return infinite & np.logical_and.reduce(kept) if kept else np.zeros_like(infinite)

    found = stays(_at_other_inputs)
    if (infinite & ~found).any() and _holds_infinity(variant, training):
        found |= stays(_nearby)
    return found


def _at_other_inputs(variant, training: bool) -> list[dict[str, Any]]:
    """What it gives at other floats or, where no input is one, for the samples in another order."""
    if variant.inputs:
        draws = {name: _drawn(value) for name, value in variant.inputs.items()}
        positive = {name: np.abs(value) for name, value in draws.items()}
        return _given(variant, training, [draws, positive])
    places = list(reversed(range(batch_size(variant.data) or 0)))
    reordered = variants.with_data(variant, taken(variant.data, places))
    return _given(reordered, training, [{}]) if places else []


def _nearby(variant, training: bool) -> list[dict[str, Any]]:
    """What it gives where each float among the inputs is moved a little, up or down."""
    up, down = (
        {name: _moved(value, sign) for name, value in variant.inputs.items()} for sign in (1, -1)
    )
    return _given(variant, training, [up, down]) if variant.inputs else []


def _given(variant, training: bool, tries: list[Mapping[str, np.ndarray]]) -> list[dict[str, Any]]:
    found = []
    for values in tries:
        try:
            found.append(variant.differentiated(training, values))
        except Exception:  # it takes no such inputs, which says nothing of its infinities
            continue
    return found


def _drawn(value: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).normal(size=value.shape).astype(value.dtype)


def _moved(value: np.ndarray, sign: int) -> np.ndarray:
    wide = value.astype("float64")
    step = _NEARBY * (np.std(wide) or 1.0) * _drawn(wide)
    return (wide + sign * step).astype(value.dtype)


def _holds_infinity(variant, training: bool) -> bool:
    """Whether infinity is a constant in what the layer computes."""
    key = ("holds infinity", training)
    return variant.subject.shared(key, lambda: any(map(_is_infinite, _nodes(variant, training))))


def _nodes(variant, training: bool) -> list:
    fixed_kwargs = variant.subject.case.fixed_kwargs

    def call(data):
        call = observation.call_layer(variant.layer, data, fixed_kwargs, training)
        return call, list(variant.layer.losses)

    try:
        variant.subject.observe("graph", training)
    except Failure:  # `eager_only` says so
        return []
    traced = tf.function(call, autograph=_keras.AUTOGRAPH)
    return nodes_of(traced.get_concrete_function(variant.data).graph)


def _is_infinite(node) -> bool:
    if node.op != "Const" or not tf.as_dtype(node.attr["dtype"].type).is_floating:
        return False
    return bool(np.isinf(tf.make_ndarray(node.attr["value"].tensor).astype("float64")).any())
