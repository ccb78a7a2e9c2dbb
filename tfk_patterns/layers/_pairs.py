"""Inputs that are two tensors in one list."""

import tensorflow as tf


def as_pair(inputs, expected: str):
    """The two inputs; `expected` says for the message what they must be.

    Raises:
        ValueError: They are no list of two.
    """
    if not isinstance(inputs, list | tuple) or len(inputs) != 2:
        raise ValueError(f"`inputs` must be {expected}. Received: {inputs!r}")
    return inputs


def pair_of_shapes(shapes, expected: str) -> tuple[tf.TensorShape, tf.TensorShape]:
    """The shapes of the two inputs.

    Raises:
        ValueError: It is one shape, or not two.
    """
    if not all(isinstance(s, list | tuple | tf.TensorShape) for s in as_pair(shapes, expected)):
        raise ValueError(f"`inputs` must be {expected}. Received: one of shape {tuple(shapes)}")
    return tuple(map(tf.TensorShape, shapes))
