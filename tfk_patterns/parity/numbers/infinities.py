"""Infinities that a layer gives by intent, as in logits of what is impossible."""

from typing import Any

import numpy as np

from tfk_patterns.parity.data import batch_size, taken
from tfk_patterns.parity.numbers import variants


def meant(
    variant: variants.Variant, training: bool, part: str, name: str, infinite: np.ndarray
) -> np.ndarray:
    """Where a result is infinite at other inputs too: it is no number that went wrong.

    Args:
        variant: The layer and its data.
        training: The `training` argument of its call.
        part: What of `Variant.differentiated` the result is in.
        name: Its name in there.
        infinite: Where it is infinite at the case's own inputs.
    """
    key = ("at other inputs", training)
    found, is_seen = infinite.copy(), False
    for results in variant.subject.shared(key, lambda: _at_other_inputs(variant, training)):
        other = variants.float_leaves(results[part], part).get(name)
        if other is not None and other.shape == infinite.shape:
            found &= np.isinf(other.astype("float64"))
            is_seen = True
    return found if is_seen else np.zeros_like(infinite)


def _at_other_inputs(variant, training: bool) -> list[dict[str, Any]]:
    """What it gives at other floats or, where no input is one, for the samples in another order."""
    if variant.inputs:
        draws = {name: _drawn(value) for name, value in variant.inputs.items()}
        positive = {name: np.abs(value) for name, value in draws.items()}
        tries = [(variant, draws), (variant, positive)]
    else:
        places = list(reversed(range(batch_size(variant.data) or 0)))
        tries = [(variants.with_data(variant, taken(variant.data, places)), {})] if places else []
    found = []
    for other, values in tries:
        try:
            found.append(other.differentiated(training, values))
        except Exception:  # it takes no such inputs, which says nothing of its infinities
            continue
    return found


def _drawn(value: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).normal(size=value.shape).astype(value.dtype)
