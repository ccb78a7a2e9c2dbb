"""Which datasets go on after a restart, and which are refused, with the reason."""

import time

import numpy as np
import pytest
import tensorflow as tf

from tests.training.pipelines import (
    ACCEPTED,
    OF_THE_EPOCH,
    REFUSED,
    REFUSED_OF_THE_EPOCH,
    from_generator,
)
from tests.training.resuming import assert_resumes, network, pairs, train
from tfk_patterns.training._reproducibility import check_reproducible


@pytest.fixture
def _no_global_seed():
    tf.random.set_seed(None)


@pytest.mark.usefixtures("_no_global_seed")
@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_with_the_reason(name):
    make, reason = REFUSED[name]
    with pytest.raises(ValueError, match=f"`dataset` must give the same batches.*({reason})"):
        check_reproducible("dataset", make(), iterated_once=False)


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


def test_python_code_in_a_function_of_the_epoch_is_the_users_matter():
    """It differs in nothing but the number TensorFlow gives it."""
    function = lambda epoch: from_generator()  # noqa: E731
    assert check_reproducible("dataset", function, iterated_once=False) is None


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_is_accepted(name):
    assert check_reproducible("dataset", ACCEPTED[name](), iterated_once=False) is None


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
    batches = tf.data.Dataset.from_tensor_slices(large).batch(32)
    start = time.monotonic()
    dataset = (lambda epoch: batches) if of_the_epoch else batches
    check_reproducible("dataset", dataset, iterated_once=False)
    assert time.monotonic() - start < 10
