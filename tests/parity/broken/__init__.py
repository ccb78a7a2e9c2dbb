"""Deliberately broken layers: each has one fault, which one check alone must catch."""

import dataclasses

import numpy as np

from tfk_patterns.parity import LayerCase

INPUTS = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
MASK = np.arange(5) < np.array([[5], [3], [1], [4]])


@dataclasses.dataclass(frozen=True)
class Broken:
    """A broken layer and what must be said of it.

    Args:
        check: Name of the one check that fails, after folding.
        case: The layer and its data.
        message: What the failure's message must contain.
    """

    check: str
    case: LayerCase
    message: str


def broken(check: str, layer: type, message: str, mask=None) -> Broken:
    """A broken layer without constructor arguments, called on sequences."""
    return Broken(check, LayerCase(layer, INPUTS, mask, name=layer.__name__), message)
