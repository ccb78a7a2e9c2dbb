"""Random state of a layer: a weight, so that every mode draws the same and files restore it."""

import random

import tensorflow as tf

from tfk_patterns import _keras


def add_random_state(layer, seed: int | None):
    """Adds the weight that a random layer draws from: `[seed, number of draws so far]`.

    Without a seed one is drawn from Python's generator, which `keras.utils.set_random_seed` sets.
    """
    start = random.randrange(2**31) if seed is None else seed

    def initial_state(shape, dtype=None):
        return tf.constant([start, 0], dtype)

    return _keras.add_exact_weight(
        layer,
        name="random_state",
        shape=(2,),
        dtype="int64",
        initializer=initial_state,
    )


def next_seed(random_state) -> tf.Tensor:
    """A seed for one stateless draw, another one at each call and on each replica."""
    seed = tf.convert_to_tensor(random_state)
    random_state.assign(seed + tf.constant([0, 1], seed.dtype))
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return seed
    return tf.random.experimental.stateless_fold_in(seed, context.replica_id_in_sync_group)
