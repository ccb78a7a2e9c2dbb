"""When two results count as the same: the tolerances of the library, in one place."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

# dtype -> (relative to the largest expected magnitude, absolute)
TOLERANCES = {
    "float64": (1e-9, 1e-11),
    "float32": (1e-4, 1e-6),
    "float16": (1e-2, 1e-3),
    "bfloat16": (5e-2, 1e-2),
    "complex64": (1e-4, 1e-6),
    "complex128": (1e-9, 1e-11),
}
_EXACT = (0.0, 0.0)  # integers, booleans and strings


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far an array is from what it should be.

    Args:
        description: What the array is and what it should be, or `None` when it counts as that.
        max_abs_error: Largest absolute difference.
        max_rel_error: That, relative to the largest expected magnitude.
    """

    description: str | None
    max_abs_error: float
    max_rel_error: float


def tolerance_for(
    dtype: str, override: float | Mapping[str, tuple[float, float]] | None
) -> tuple[float, float]:
    """`(rtol, atol)` for values that were computed in `dtype`."""
    if isinstance(override, Mapping):
        return override.get(dtype, TOLERANCES.get(dtype, _EXACT))
    if override is not None:
        return (override, override)
    return TOLERANCES.get(dtype, _EXACT)


def coarser(first: str, second: str) -> str:
    """The one of two dtypes with the wider tolerance."""
    return max(first, second, key=lambda dtype: TOLERANCES.get(dtype, _EXACT))


def difference(
    expected: np.ndarray,
    actual: np.ndarray,
    rtol: float,
    atol: float,
    source: str = "eager mode",
) -> Difference:
    """Compares two arrays; NaN equals NaN, and infinities of one sign each other.

    Args:
        expected: What `source` gave.
        actual: What should be the same.
        rtol: Tolerance relative to the largest expected magnitude.
        atol: Absolute tolerance, added to that.
        source: For the description.
    """
    if expected.shape != actual.shape:
        text = f"has shape {actual.shape} where {source} gives {expected.shape}"
        return Difference(text, float("inf"), float("inf"))
    if expected.dtype != actual.dtype:
        text = f"has dtype {actual.dtype} where {source} gives {expected.dtype}"
        return Difference(text, float("inf"), float("inf"))
    if not _is_numeric(expected):
        same = np.array_equal(expected, actual)
        text = None if same else f"is {actual.tolist()} where {source} gives {expected.tolist()}"
        return Difference(text, 0.0 if same else 1.0, 0.0 if same else 1.0)
    wide = np.complex128 if np.iscomplexobj(expected) else np.float64
    expected, actual = expected.astype(wide), actual.astype(wide)
    same = (expected == actual) | (np.isnan(expected) & np.isnan(actual))
    with np.errstate(invalid="ignore"):
        errors = np.where(same, 0.0, np.abs(expected - actual))
    errors = np.where(np.isnan(errors), np.inf, errors)
    if errors.size == 0:
        return Difference(None, 0.0, 0.0)
    scale = float(np.max(np.abs(expected), where=np.isfinite(expected), initial=0.0))
    index = np.unravel_index(int(np.argmax(errors)), errors.shape)
    largest = float(errors[index])
    relative = largest / scale if scale else (0.0 if largest == 0 else float("inf"))
    if largest <= atol + rtol * scale:
        return Difference(None, largest, relative)
    place = f" at {[int(i) for i in index]}" if index else ""
    found, wanted = actual[index], expected[index]
    digits = 7 if f"{found:.7g}" != f"{wanted:.7g}" else 17
    text = f"is {found:.{digits}g}{place} where {source} gives {wanted:.{digits}g}"
    return Difference(text, largest, relative)


def named_leaves(structure: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The leaves of nested dicts, lists and tuples, each with a name such as `outputs['a'][0]`."""
    if isinstance(structure, dict):
        for key in sorted(structure):
            yield from named_leaves(structure[key], f"{name}[{key!r}]")
    elif isinstance(structure, list | tuple):
        for index, value in enumerate(structure):
            yield from named_leaves(value, f"{name}[{index}]")
    else:
        yield name, structure


def _is_numeric(array: np.ndarray) -> bool:
    return array.dtype.kind in "biufc" or array.dtype.name == "bfloat16"
