"""Argument checks, in one error form: `` `name` must be ... Received: name=value ``."""

import numbers
from collections.abc import Iterable
from typing import Any


def value_error(name: str, expected: str, received: Any) -> ValueError:
    """The error for an argument of the right type with a value that cannot be."""
    return ValueError(f"`{name}` must be {expected}. Received: {name}={received!r}")


def type_error(name: str, expected: str, received: Any) -> TypeError:
    """The error for an argument of the wrong type."""
    return TypeError(
        f"`{name}` must be {expected}. Received: {name}={received!r} "
        f"(of type {type(received).__name__})"
    )


def real(name: str, value: Any) -> float:
    """`value` as a float; it must be a finite real number, and no bool."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise type_error(name, "a number", value)
    if not abs(float(value)) < float("inf"):
        raise value_error(name, "finite", value)
    return float(value)


def non_negative(name: str, value: Any) -> float:
    """`value` as a float of at least 0."""
    number = real(name, value)
    if number < 0:
        raise value_error(name, "at least 0", value)
    return number


def positive(name: str, value: Any) -> float:
    """`value` as a float of more than 0."""
    number = real(name, value)
    if number <= 0:
        raise value_error(name, "more than 0", value)
    return number


def fraction(name: str, value: Any) -> float:
    """`value` as a float in [0, 1)."""
    number = real(name, value)
    if not 0 <= number < 1:
        raise value_error(name, "in [0, 1)", value)
    return number


def closed_fraction(name: str, value: Any) -> float:
    """`value` as a float in [0, 1]."""
    number = real(name, value)
    if not 0 <= number <= 1:
        raise value_error(name, "in [0, 1]", value)
    return number


def open_fraction(name: str, value: Any) -> float:
    """`value` as a float in (0, 1), both ends excluded."""
    number = real(name, value)
    if not 0 < number < 1:
        raise value_error(name, "in (0, 1), both ends excluded", value)
    return number


def integer(name: str, value: Any, expected: str = "an integer") -> int:
    """`value` as an int; no bool. `expected` says what else the argument may be."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise type_error(name, expected, value)
    return int(value)


def non_negative_integer(name: str, value: Any) -> int:
    """`value` as an int of at least 0."""
    number = integer(name, value)
    if number < 0:
        raise value_error(name, "at least 0", value)
    return number


def positive_integer(name: str, value: Any) -> int:
    """`value` as an int of at least 1."""
    number = integer(name, value)
    if number < 1:
        raise value_error(name, "at least 1", value)
    return number


def seed(name: str, value: Any) -> int:
    """`value` as an int that fits the random state of a layer, in [0, 2**63)."""
    number = non_negative_integer(name, value)
    if number >= 2**63:
        raise value_error(name, "less than 2**63", value)
    return number


def boolean(name: str, value: Any) -> bool:
    """`value`, which must be `True` or `False`."""
    if not isinstance(value, bool):
        raise type_error(name, "True or False", value)
    return value


def one_of(name: str, value: Any, choices: Iterable[str]) -> str:
    """`value`, which must be one of the strings in `choices`."""
    choices = tuple(choices)
    expected = f"one of {', '.join(map(repr, choices))}"
    if not isinstance(value, str):
        raise type_error(name, expected, value)
    if value not in choices:
        raise value_error(name, expected, value)
    return value


def rank(name: str, shape: Any, expected: int, axes: str) -> None:
    """Checks the rank of a shape, where it is known; `axes` names the axes for the message."""
    found = _known_rank(name, shape)
    if found is not None and found != expected:
        raise ValueError(
            f"`{name}` must have rank {expected}, {axes}. Received: {name} of shape "
            f"{tuple(shape)}, rank {found}"
        )


def rank_at_least(name: str, shape: Any, least: int, axes: str) -> None:
    """Checks that a shape, where its rank is known, has `least` axes or more."""
    found = _known_rank(name, shape)
    if found is not None and found < least:
        raise ValueError(
            f"`{name}` must have rank {least} or more, {axes}. Received: {name} of shape "
            f"{tuple(shape)}, rank {found}"
        )


def known_axis(name: str, shape: Any, axis: int, meaning: str) -> int:
    """The size of an axis that must be known when the layer is built."""
    size = shape[axis]
    if size is None:
        raise ValueError(
            f"`{name}` must have a known size along axis {axis}, {meaning}. Received: {name} of "
            f"shape {tuple(shape)}"
        )
    return int(size)


def _known_rank(name: str, shape: Any) -> int | None:
    if not hasattr(shape, "rank") and not all(size is None or _is_size(size) for size in shape):
        raise TypeError(f"`{name}` must be one tensor. Received: tensors of shapes {shape!r}")
    rank = getattr(shape, "rank", -1)  # a TensorShape says None for an unknown rank
    return len(shape) if rank == -1 else rank


def _is_size(size: Any) -> bool:
    return isinstance(size, numbers.Integral)
