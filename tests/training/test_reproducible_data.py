"""Which datasets go on after a restart, and which are refused, with the reason."""

import random
import tempfile
import time

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.training.resuming import X, Y, assert_resumes, network, pairs, train
from tfk_patterns.training._reproducibility import check_reproducible

Dataset = tf.data.Dataset


def plus_one(x, y):
    return x + 1, y


def twice(x, y):
    return x * 2, y


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
    "shuffle": lambda: pairs().shuffle(40, seed=1, reshuffle_each_iteration=False),
    "sample_seeded": lambda: chosen(seed=1, rerandomize_each_iteration=False),
    "sample_weights": lambda: chosen(weights=[0.2, 0.8], seed=1, rerandomize_each_iteration=False),
    "files_in_order": lambda: Dataset.list_files(numbered(), shuffle=False).map(from_file),
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


@pytest.fixture
def _no_global_seed():
    tf.random.set_seed(None)


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
    "generator": (from_generator, "Python generator"),
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


@pytest.mark.usefixtures("_no_global_seed")
@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_with_the_reason(name):
    make, reason = REFUSED[name]
    with pytest.raises(ValueError, match=f"`dataset` must give the same batches.*({reason})"):
        check_reproducible("dataset", make(), iterated_once=False)


SHUFFLED = pairs().shuffle(40, seed=1)
REFUSED_OF_THE_EPOCH = {
    "numpy": lambda epoch: Dataset.from_tensor_slices((X[np.random.permutation(40)], Y)),
    "random": lambda epoch: pairs().shuffle(40, seed=random.randint(0, 10**6)),
    "added": lambda epoch: pairs().map(lambda x, y, r=np.random.rand(): (x + r, y)),
    "no_seed": lambda epoch: pairs().shuffle(40),
    "variable": lambda epoch: counted(),
    "shuffled_outside": lambda epoch: SHUFFLED.take(40),
}


@pytest.mark.parametrize("name", REFUSED_OF_THE_EPOCH)
def test_a_function_of_more_than_the_epoch_is_refused(name):
    with pytest.raises(ValueError, match="must give the same batches again"):
        check_reproducible("dataset", REFUSED_OF_THE_EPOCH[name], iterated_once=False)


@pytest.mark.parametrize("name", OF_THE_EPOCH)
def test_a_function_of_the_epoch_is_accepted_each_time(name):
    """Twenty times: TensorFlow shows the functions of a dataset in any order."""
    check = check_reproducible
    refused = [check("dataset", OF_THE_EPOCH[name], iterated_once=False) for _ in range(20)]
    assert refused == [None] * 20


def test_a_function_is_not_asked_for_epochs_before_the_first(tmp_path):
    asked = []

    def dataset(epoch):
        asked.append(epoch)
        return pairs().batch(8)

    train(network(), tmp_path, data=lambda: dataset, initial_epoch=2, epochs=3)
    assert set(asked) == {2}


def test_a_python_function_in_a_function_of_the_epoch_is_refused_for_what_it_is():
    """Which differs in nothing but the number TensorFlow gives it."""
    with pytest.raises(ValueError, match="Python"):
        check_reproducible("dataset", lambda epoch: from_generator(), iterated_once=False)


@pytest.mark.parametrize(
    "name",
    ["sample_seeded", *(pytest.param(n, marks=pytest.mark.slow) for n in sorted(ACCEPTED))],
)
def test_what_is_accepted_goes_on(name, tmp_path):
    assert_resumes(tmp_path, data=lambda: ACCEPTED[name]().batch(4).take(5))


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_THE_EPOCH)
def test_a_function_of_the_epoch_goes_on(name, tmp_path):
    assert_resumes(tmp_path, data=lambda: lambda epoch: OF_THE_EPOCH[name](epoch).batch(8).take(5))


@pytest.mark.parametrize("kind", ["padded", pytest.param("dropped", marks=pytest.mark.slow)])
def test_batches_of_other_kinds_go_on(kind, tmp_path):
    make = {
        "padded": lambda: pairs().padded_batch(8),
        "dropped": lambda: pairs().batch(12, drop_remainder=True, num_parallel_calls=2),
    }[kind]
    assert_resumes(tmp_path, data=make, kill=(1, 2))


@pytest.mark.parametrize(
    "make",
    [
        lambda: pairs().shuffle(40, seed=1).batch(8),
        pytest.param(lambda: pairs().shuffle(40, seed=1).cache().batch(8), marks=pytest.mark.slow),
    ],
    ids=["shuffle", "shuffle_cache"],
)
def test_steps_per_epoch_goes_on_in_a_shuffled_dataset(make, tmp_path):
    """It starts again in each second epoch, in another order."""
    assert_resumes(tmp_path, data=make, kill=(4, 2), steps_per_epoch=3, epochs=6)


@pytest.mark.slow
@pytest.mark.parametrize("of_the_epoch", [False, True])
def test_the_look_at_100_megabytes_takes_few_seconds(of_the_epoch):
    large = np.zeros((25_000, 1_000), "float32")
    batches = Dataset.from_tensor_slices(large).batch(32)
    start = time.monotonic()
    dataset = (lambda epoch: batches) if of_the_epoch else batches
    check_reproducible("dataset", dataset, iterated_once=False)
    assert time.monotonic() - start < 10
