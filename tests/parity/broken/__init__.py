"""Deliberately broken layers: each has one fault, which one check alone must catch."""

import dataclasses
import functools
import pkgutil
from importlib import import_module

import numpy as np

from tfk_patterns import _keras
from tfk_patterns.parity import LayerCase, ModelCase

INPUTS = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
MASK = np.arange(5) < np.array([[5], [3], [1], [4]])


@dataclasses.dataclass(frozen=True)
class Broken:
    """A broken layer or model and what must be said of it.

    Args:
        check: Name of the one check that fails, after folding.
        case: The layer or model, and its data.
        message: What the failure's message must contain.
        generations: The Keras generations on which the fault exists.
    """

    check: str
    case: LayerCase | ModelCase
    message: str
    generations: tuple[int, ...] = (2, 3)


def broken(
    check, layer, message, inputs=INPUTS, mask=None, generations=(2, 3), name=None, **arguments
) -> Broken:
    """A broken layer, with its constructor's arguments, called on sequences."""
    case = LayerCase(
        functools.partial(layer, **arguments), inputs, mask, name=name or layer.__name__
    )
    return Broken(check, case, message, generations)


def found_here() -> list[Broken]:
    """All broken layers whose fault exists on the Keras generation that is loaded."""
    return found_in(__name__, __path__)


def found_in(package: str, path) -> list[Broken]:
    """What the modules of a package list as `BROKEN` that is broken on this generation."""
    modules = [import_module(f"{package}.{m.name}") for m in pkgutil.iter_modules(path)]
    everything = [found for module in modules for found in module.BROKEN]
    return [found for found in everything if _keras.GENERATION in found.generations]
