"""What the replicas of a strategy share in a step; on one device there is nothing to do."""

from collections.abc import Callable

import tensorflow as tf

from tfk_patterns import _keras


def replica_count() -> int:
    """The number of replicas, by which Keras divides the loss of each."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def samples_in(x) -> tf.Tensor:
    """The number of samples in the inputs, as a tensor."""
    return tf.shape(next(leaf for leaf in tf.nest.flatten(x) if leaf is not None))[0]


def mean_of_samples(loss, x) -> tf.Tensor:
    """The mean loss of this replica's samples, from what Keras divides by the replicas' number.

    It is 0 where the replica has no samples, of which a mean is NaN.
    """
    if replica_count() == 1:
        return loss
    return tf.where(samples_in(x) > 0, loss * replica_count(), tf.zeros_like(loss))


def sum_over_replicas(number: tf.Tensor) -> tf.Tensor:
    """The sum of what the replicas have, which all of them get."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return number
    return context.all_reduce(tf.distribute.ReduceOp.SUM, number)


def mean_over_replicas(gradients: list, x, sums: bool) -> list:
    """The mean of the replicas' gradients, each weighted by its number of samples.

    Args:
        gradients: Those of this replica, `None`s and sparse ones too.
        x: The inputs of this replica.
        sums: Whether the loss is a sum over samples, so that replicas count alike.
    """
    if replica_count() == 1:
        return gradients
    share = tf.constant(1 / replica_count()) if sums else share_of_samples(x)
    return sum_gradients(
        _keras.map_gradients(lambda values: values * tf.cast(share, values.dtype), gradients)
    )


def share_of_samples(x) -> tf.Tensor:
    """The part of the whole batch's samples that this replica has, in [0, 1]."""
    samples = tf.cast(samples_in(x), tf.float32)
    return samples / sum_over_replicas(samples)


def sum_gradients(gradients: list) -> list:
    """The sums of the replicas' gradients, `None`s and sparse ones too, which all of them get."""
    there = [gradient for gradient in gradients if gradient is not None]
    if there and replica_count() > 1:
        context = tf.distribute.get_replica_context()
        there = context.all_reduce(tf.distribute.ReduceOp.SUM, there)
    reduced = iter(there)
    return [None if gradient is None else next(reduced) for gradient in gradients]


def run_where(predicate: tf.Tensor, function: Callable[[], None]) -> None:
    """Runs a function on all replicas if a predicate holds, which they share.

    It may apply gradients, which `tf.cond` in a replica forbids.
    """

    def run(strategy, predicates):
        predicate = strategy.experimental_local_results(predicates)[0]
        tf.cond(
            predicate,
            lambda: strategy.extended.call_for_each_replica(_returning_nothing(function)),
            lambda: None,
        )

    tf.distribute.get_replica_context().merge_call(run, args=(predicate,))


def _returning_nothing(function):
    def run():
        function()

    return run
