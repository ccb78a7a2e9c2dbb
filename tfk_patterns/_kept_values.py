"""Values of variables, to be put back."""

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf


def values_of(variables: Sequence[tf.Variable]) -> list[tf.Tensor]:
    """The values that the variables have now, on this replica."""
    return [tf.identity(variable) for variable in variables]


def assign(variables: Sequence[tf.Variable], values: Sequence[tf.Tensor]) -> None:
    """Gives each variable its value."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


@contextlib.contextmanager
def put_back(variables: Sequence[tf.Variable]) -> Iterator[None]:
    """Lets the variables have other values inside, and puts back what they were, to the bit."""
    values = values_of(variables)
    try:
        yield
    finally:
        assign(variables, values)
