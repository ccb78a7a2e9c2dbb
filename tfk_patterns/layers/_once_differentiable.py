"""Gradients of `tf.custom_gradient` that say so where they are differentiated again."""

from collections.abc import Callable

import tensorflow as tf


def once_differentiable(gradient: Callable, sources, message: str) -> Callable:
    """The gradient function, whose own gradient is an error, for it would be wrong without a word.

    An error where it is not zero: TensorFlow also traces second gradients that nobody asks for,
    and runs them on zeros.

    Args:
        gradient: From the gradients of the outputs to those of the sources, all floats.
        sources: The arguments of the function that has that gradient.
        message: Of the error: NotImplementedError, or in a graph
            `tf.errors.InvalidArgumentError`.
    """

    @tf.custom_gradient
    def once(*inputs):
        upstream = inputs[: len(inputs) - len(sources)]

        def refuse(*second):
            with tf.control_dependencies(_require_zeros(second, message)):
                return [tf.zeros_like(one) for one in inputs]

        return gradient(*upstream), refuse

    return lambda *upstream: once(*map(tf.convert_to_tensor, upstream), *sources)


def _require_zeros(tensors, message):
    are_zeros = tf.reduce_all([tf.reduce_all(one == 0) for one in tensors])
    if not tf.executing_eagerly():
        return [tf.raw_ops.Assert(condition=are_zeros, data=[message])]
    if not are_zeros:
        raise NotImplementedError(message)
    return []
