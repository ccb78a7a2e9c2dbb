"""Random state of a layer: a weight, so that every mode draws the same and files restore it."""

import math
import random

import tensorflow as tf

from tfk_patterns import _keras

_MANTISSA = 2**23 - 1  # the bits of a word that make a float in [0, 1)


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


def random_bits(shape, random_state) -> tf.Tensor:
    """Uniform uint32 words: the same in every mode, where XLA draws other floats than the graph."""
    # XLA on a CPU takes fifty times as long for the algorithm that TensorFlow selects itself.
    return tf.random.stateless_uniform(
        shape, next_seed(random_state), None, None, tf.uint32, alg="philox"
    )


def drop(inputs, rate: float, random_state) -> tf.Tensor:
    """The inputs with a share of `rate` zeros in random places, the others scaled up for it."""
    bits = tf.bitwise.bitwise_and(random_bits(tf.shape(inputs), random_state), _MANTISSA)
    keep = bits >= tf.constant(math.ceil(rate * 2**23), tf.uint32)
    # The older operation does not broadcast, which takes twice as long.
    return tf.compat.v1.where(keep, inputs / (1 - rate), tf.zeros_like(inputs))


def normal_noise(shape, random_state, dtype) -> tf.Tensor:
    """Standard normal numbers by the method of Box and Muller, from the same bits in every mode."""
    bits = random_bits(tf.concat([[2], shape], axis=0), random_state)
    # In (0, 1], so that the logarithm is finite.
    uniform = (
        tf.cast(tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32)), dtype) + 1
    ) * 2.0**-24
    radius = tf.sqrt(-2 * tf.math.log(uniform[0]))
    return radius * tf.cos(2 * math.pi * uniform[1])
