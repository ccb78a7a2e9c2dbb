"""Sums and moments over valid positions, in float32 at least, over all replicas where asked."""

import tensorflow as tf

from tfk_patterns.layers._masking import zero_masked


def at_least_float32(inputs) -> tf.Tensor:
    """Inputs as float32, or as float64 where they are that."""
    return inputs if inputs.dtype == tf.float64 else tf.cast(inputs, tf.float32)


def sum_over_replicas(value) -> tf.Tensor:
    """The sum of a tensor over all replicas, on each of them; itself where there is one."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:  # None while a model is traced
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def mean_over_replicas(value) -> tf.Tensor:
    """The mean of a tensor over all replicas, on each of them; itself where there is one."""
    context = tf.distribute.get_replica_context()
    replicas = 1 if context is None else context.num_replicas_in_sync
    return sum_over_replicas(value) / replicas


def count_valid(inputs, mask) -> tf.Tensor:
    """How many positions (all axes but the last) are valid, in the dtype of the inputs."""
    if mask is None:
        return tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), inputs.dtype)
    unmasked_axes = tf.reduce_prod(tf.shape(inputs)[mask.shape.rank : -1])
    return tf.reduce_sum(tf.cast(mask, inputs.dtype)) * tf.cast(unmasked_axes, inputs.dtype)


def moments(inputs, mask, synchronized: bool) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mean and variance of each feature over the valid positions, and how many there are.

    Args:
        inputs: `(batch, ..., features)`, float32 or float64.
        mask: Boolean mask on the leading axes, or `None`.
        synchronized: Whether the positions of all replicas count.

    Returns:
        Mean and (biased) variance, each `(features,)`, and the count; zeros for no positions.
    """
    total = sum_over_replicas if synchronized else tf.identity
    count = total(count_valid(inputs, mask))
    axes = range(inputs.shape.rank - 1)
    mean = tf.math.divide_no_nan(total(tf.reduce_sum(zero_masked(inputs, mask), axes)), count)
    centred = zero_masked(inputs - mean, mask)
    variance = tf.math.divide_no_nan(total(tf.reduce_sum(tf.square(centred), axes)), count)
    return mean, variance, count
