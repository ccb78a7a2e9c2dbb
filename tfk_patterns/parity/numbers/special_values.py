"""Values of the inputs at which layers tend to divide by zero or to overflow."""

from collections.abc import Mapping

import numpy as np

# An exponential of them leaves float32, or half precision, where float64 still holds it.
_LARGE = {"float16": (32.0,)}
_LARGE_ELSEWHERE = (200.0, 2000.0)


def degenerate(inputs: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Inputs of zeros, and inputs that are equal everywhere, by what to call them."""
    kinds = {"zeros": zeros(inputs), "equal values": _equal(inputs)}
    return {kind: values for kind, values in kinds.items() if values}


def large(inputs: Mapping[str, np.ndarray], dtype: str) -> dict[str, dict[str, np.ndarray]]:
    """Large inputs in the proportions of the case's own, by what to call them.

    Args:
        inputs: The inputs of the case, by name.
        dtype: What the layer computes in.
    """
    kinds = {
        f"values up to {size:g}": scaled(inputs, size)
        for size in _LARGE.get(dtype, _LARGE_ELSEWHERE)
    }
    return {kind: values for kind, values in kinds.items() if values}


def zeros(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Zeros for each input but those that keep away from zero on purpose."""
    return {
        name: np.zeros_like(value)
        for name, value in inputs.items()
        if value.size and not np.min(value) > 0.3 * np.mean(value)
    }


def scaled(inputs: Mapping[str, np.ndarray], size: float) -> dict[str, np.ndarray]:
    """The inputs made so large that the largest value is `size`.

    Those that are large already stay as they are, as do those in [0, 1], which may be
    probabilities, and those from 0 to 255, which may be pixels.
    """
    found = {}
    for name, value in inputs.items():
        largest = np.max(np.abs(value), initial=0.0)
        bounded = np.min(value, initial=0.0) >= 0 and (largest <= 1 or largest > 100)
        if 0 < largest < size and not bounded:
            found[name] = (value * (size / largest)).astype(value.dtype)
    return found


def _equal(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    finite = {name: value[np.isfinite(value)] for name, value in inputs.items()}
    return {n: np.full_like(v, _typical(finite[n])) for n, v in inputs.items() if finite[n].size}


def _typical(value: np.ndarray) -> float:
    """A power of two, of which means and differences are exact, of the values' size and sign."""
    middle = float(np.median(value.astype("float64")))
    size = float(np.median(np.abs(value.astype("float64")))) or 1.0
    return float(2.0 ** round(np.log2(size))) * (1.0 if middle >= 0 else -1.0)
