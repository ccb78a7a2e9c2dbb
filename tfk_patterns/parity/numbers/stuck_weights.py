"""Weights whose gradient is zero wherever one looks."""

import numpy as np

from tfk_patterns.parity.errors import in_one_line
from tfk_patterns.parity.numbers import variants
from tfk_patterns.parity.subject import Subject

_DRAWS = 4


def is_stuck(subject: Subject, name: str) -> bool:
    """Whether the gradient of a weight is zero in the case, and at other weights and inputs.

    Zero in the case alone it may be by intent, as where what it is multiplied by starts at zero.
    """
    calls = subject.observe("eager", training=True).calls
    if not all(_is_zero(call["weight_gradients"][name]) for call in calls):
        return False
    variant, generator = variants.as_made(subject), np.random.default_rng(0)
    for _ in range(_DRAWS):
        moved = {key: _moved(value, generator) for key, value in variant.values.items()}
        for training in (True, False):
            if not _is_zero(_gradient(variant, name, training, moved)):
                return False
    return True


def _gradient(variant, name: str, training: bool, values) -> np.ndarray | None:
    """The gradient at some values; with the inputs of the case where it takes no others."""
    try:
        return variant.differentiated(training, values)["gradients"].get(name)
    except Exception as error:  # as for ids in floats, of which there are only so many
        reason = f"the layer refuses other inputs ({in_one_line(error, 80)})"
        variant.subject.tally.left_out["gradients of zero at other inputs"] = reason
    weights = {key: value for key, value in values.items() if key in variant.weights}
    return variant.differentiated(training, weights)["gradients"].get(name)


def _moved(value: np.ndarray, generator) -> np.ndarray:
    size = max(float(np.sqrt(np.mean(np.square(value)))), 0.5) if value.size else 0.0
    return (value + size * generator.normal(size=value.shape)).astype(value.dtype)


def _is_zero(gradient: np.ndarray | None) -> bool:
    return gradient is None or not np.any(np.asarray(gradient, "float64"))
