"""Directional derivatives from differences, believed only where step sizes agree."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Precision:
    """How to differentiate what is computed in some precision.

    Args:
        steps: Step sizes, from the largest.
        agreement: How far the derivatives of two consecutive steps may be apart, and the one-sided
            ones, relative to the size of the derivative.
        tolerance: How far an analytic derivative may be from it, relative to its size.
        noise: Rounding error of the function, relative to its value.
    """

    steps: tuple[float, ...]
    agreement: float
    tolerance: float
    noise: float


# What computes in float32 somewhere needs large steps, whatever its dtype.
PRECISIONS = (
    Precision((1e-4, 1e-5), agreement=1e-4, tolerance=1e-5, noise=1e-14),
    Precision((1e-1, 3e-2, 1e-2, 3e-3), agreement=3e-2, tolerance=0.15, noise=1e-6),
)


@dataclasses.dataclass(frozen=True)
class Derivative:
    """A derivative by differences.

    Args:
        value: The derivative.
        uncertainty: How far an analytic derivative may be from it.
    """

    value: float
    uncertainty: float


def derivative(
    function: Callable[[float], float], middle: float, scale: float
) -> Derivative | None:
    """The derivative of a function at 0, or `None` where steps disagree or it has a kink.

    Args:
        function: The function.
        middle: Its value at 0.
        scale: The size that the derivative is believed to have.
    """
    for precision in PRECISIONS:
        found = _believed(function, middle, precision, scale)
        if found is not None:
            return found
    return None


def _believed(function, middle, precision, scale) -> Derivative | None:
    ends = [(function(step), function(-step)) for step in precision.steps]
    if not np.all(np.isfinite([middle, *np.ravel(ends)])):
        return None
    central, kinks = [], []
    for step, (above, below) in zip(precision.steps, ends, strict=True):
        central.append((above - below) / (2 * step))
        kinks.append(abs(above - 2 * middle + below) / step)
    apart = np.abs(np.diff(central))
    best = int(np.argmin(apart))
    value = central[best + 1]
    allowed = precision.agreement * max(scale, abs(value))
    if apart[best] > allowed or min(kinks) > 5 * allowed:
        return None
    rounding = precision.noise * np.max(np.abs([middle, *np.ravel(ends)]))
    uncertainty = precision.tolerance * max(scale, abs(value)) + 20 * float(apart[best])
    return Derivative(value, uncertainty + rounding / precision.steps[best + 1])


def direction(values: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """A random direction in which each array moves by about its own size."""
    generator = np.random.default_rng(seed)
    return {
        name: generator.normal(size=value.shape)
        * max(np.nanmean(np.abs(value.astype("float64"))), 0.1)
        for name, value in values.items()
        if value.size
    }


def moved(
    values: Mapping[str, np.ndarray], by: Mapping[str, np.ndarray], step: float
) -> dict[str, np.ndarray]:
    """The values, gone a step in a direction."""
    return {name: values[name].astype("float64") + step * by[name] for name in by}


def off_kinks(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The values moved a little, so that none is zero and no two are equal.

    What is not negative stays so, and what is in [0, 1] does.
    """
    generator = np.random.default_rng(7)
    return {name: _off_kinks(value, generator) for name, value in values.items()}


def _off_kinks(value: np.ndarray, generator) -> np.ndarray:
    value = value.astype("float64")
    noise = 0.05 * generator.uniform(0.2, 1.0, value.shape)
    if not value.size or value.min() < 0:
        return value + noise * generator.choice([-1.0, 1.0], value.shape)
    return 0.9 * value + noise if value.max() <= 1 else value + noise
