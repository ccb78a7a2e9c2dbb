"""Pipelines of pairs, those that go on after a restart and those that do not."""

import random
import tempfile

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.training.resuming import X, Y, pairs

Dataset = tf.data.Dataset


def plus_one(x, y):
    return x + 1, y


def twice(x, y):
    return x * 2, y


TABLE = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([0, 1], [3.0, 4.0]), 0.0)


def looked_up(x, y):
    return x, y + TABLE.lookup(tf.cast(x[0] > 0, tf.int32))


def some(x, y):
    return x[0] > -1


def numbered(directory=None):
    """The names of three files."""
    folder = tempfile.mkdtemp()
    for number in range(3):
        with open(f"{folder}/{number}", "w") as file:
            file.write(str(number))
    return f"{folder}/*"


def from_file(name):
    number = tf.strings.to_number(tf.io.read_file(name))
    return tf.fill([4], number), tf.fill([2], number)


def chosen(**arguments):
    return Dataset.sample_from_datasets([pairs(), pairs().map(plus_one)], **arguments)


def interleaved(**arguments):
    parts = Dataset.range(3)
    return parts.interleave(lambda part: pairs().skip(part), cycle_length=2, **arguments)


def stateless(index, pair):
    return pair[0] + tf.random.stateless_normal([4], tf.stack([index, index])), pair[1]


def with_options(deterministic):
    options = tf.data.Options()
    options.deterministic = deterministic
    return pairs().with_options(options)


# Of samples, not batches.
ACCEPTED = {
    "cache": lambda: pairs().cache(),
    "zip": lambda: Dataset.zip((Dataset.from_tensor_slices(X), Dataset.from_tensor_slices(Y))),
    "concatenate": lambda: pairs().concatenate(pairs().map(plus_one)),
    "interleave": interleaved,
    "interleave_parallel": lambda: interleaved(num_parallel_calls=2),
    "map_parallel": lambda: pairs().map(plus_one, num_parallel_calls=2),
    "filter": lambda: pairs().filter(some),
    "prefetch": lambda: pairs().prefetch(2),
    "table": lambda: pairs().map(tf.function(looked_up)),
    "shuffle": lambda: pairs().shuffle(40, seed=1, reshuffle_each_iteration=False),
    "sample_seeded": lambda: chosen(seed=1, rerandomize_each_iteration=False),
    "sample_weights": lambda: chosen(weights=[0.2, 0.8], seed=1, rerandomize_each_iteration=False),
    "files_in_order": lambda: (
        Dataset.list_files(numbered(), shuffle=False).repeat(14).map(from_file)
    ),
    "stateless": lambda: pairs().enumerate().map(stateless),
    "options": lambda: with_options(deterministic=True),
}
OF_THE_EPOCH = {
    "shuffle": lambda epoch: pairs().shuffle(40, seed=epoch),
    "shuffle_then_cache": lambda epoch: pairs().shuffle(40, seed=epoch).cache(),
    "shuffle_in_flat_map": lambda epoch: Dataset.range(2).flat_map(
        lambda part: pairs().shuffle(40, seed=epoch)
    ),
    "two_maps": lambda epoch: pairs().map(plus_one).map(twice),
    "maps_and_a_filter": lambda epoch: pairs().map(plus_one).filter(some).map(twice),
    "numpy": lambda epoch: Dataset.from_tensor_slices(
        (X[np.random.default_rng(epoch).permutation(40)], Y)
    ),
}


def generator_noise():
    generator = tf.random.Generator.from_seed(1)
    return pairs().map(lambda x, y: (x + generator.normal([4]), y))


def counted():
    variable = tf.Variable(0.0)
    return pairs().map(lambda x, y: (x + variable.assign_add(1.0), y))


def augmented():
    layer = keras.layers.RandomFlip("horizontal", seed=1)
    return pairs().map(lambda x, y: (layer(x[None, :, None, None], training=True)[0, :, 0, 0], y))


def from_generator():
    signature = (tf.TensorSpec([4]), tf.TensorSpec([2]))
    return Dataset.from_generator(lambda: zip(X, Y, strict=True), output_signature=signature)


REFUSED = {
    "shuffle": (lambda: pairs().shuffle(40, seed=1), "shuffled in another way in each epoch"),
    "shuffle_no_seed": (lambda: pairs().shuffle(40), "without a seed"),
    "sample_no_seed": (chosen, "without a seed"),
    "sample_again": (lambda: chosen(seed=1, rerandomize_each_iteration=True), "each epoch"),
    "files": (lambda: Dataset.list_files(numbered()).map(from_file), "without a seed"),
    "generator": (from_generator, "Python generator|Python code"),
    "numpy_function": (
        lambda: pairs().map(lambda x, y: (tf.numpy_function(np.sin, [x], tf.float32), y)),
        "Python code",
    ),
    "random": (lambda: pairs().map(lambda x, y: (x + tf.random.normal([4]), y)), "random numbers"),
    "flip": (
        lambda: pairs().map(lambda x, y: (tf.image.random_flip_up_down(x[:, None, None]), y)),
        "random numbers",
    ),
    "tf_generator": (generator_noise, "random numbers|state"),
    "variable": (counted, "state|variable"),
    "keras_augmentation": (augmented, "random numbers|state|variable"),
    "options": (lambda: with_options(deterministic=False), "deterministic = False"),
    "map_in_any_order": (
        lambda: pairs().map(plus_one, num_parallel_calls=2, deterministic=False),
        "order is left to chance",
    ),
    "interleave_in_any_order": (
        lambda: interleaved(num_parallel_calls=2, deterministic=False),
        "order is left to chance",
    ),
}


SHUFFLED = pairs().shuffle(40, seed=1)
REFUSED_OF_THE_EPOCH = {
    "numpy": lambda epoch: Dataset.from_tensor_slices((X[np.random.permutation(40)], Y)),
    "random": lambda epoch: pairs().shuffle(40, seed=random.randint(0, 10**6)),
    "added": lambda epoch: pairs().map(lambda x, y: (x + np.random.rand(), y)),
    "no_seed": lambda epoch: pairs().shuffle(40),
    "variable": lambda epoch: counted(),
    "shuffled_outside": lambda epoch: SHUFFLED.take(40),
}
