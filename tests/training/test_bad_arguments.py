"""Arguments that cannot be are refused in one clear sentence, before anything is trained."""

import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.training.runs import X, Y, assert_same_bits, batches, compiled, sequential
from tfk_patterns.training import TrainingLoop


def linear():
    return compiled(sequential(stack=[keras.layers.Dense(2)]))


@pytest.fixture
def loop():
    return TrainingLoop(linear())


@pytest.fixture
def refuses(loop):
    """Refuses arguments of a method, and leaves the model as it was."""

    def refuses(method, name, error, *arguments, **others):
        before = loop.model.get_weights()
        with pytest.raises(error) as caught:
            getattr(loop, method)(*arguments, **{"verbose": 0, **others})
        assert_clear(caught.value, name)
        assert_same_bits(loop.model.get_weights(), before)

    return refuses


def assert_clear(error, name):
    assert re.match(rf"`{name}`.* Received: .*", str(error), re.DOTALL), str(error)


@pytest.mark.parametrize(
    "model",
    [None, "model", keras.layers.Dense(2), keras.Sequential, linear],
    ids=["none", "name", "layer", "class", "function"],
)
def test_what_is_no_model(model):
    with pytest.raises(TypeError) as caught:
        TrainingLoop(model)
    assert_clear(caught.value, "model")


def test_a_model_that_is_not_compiled():
    with pytest.raises(ValueError, match="compiled") as caught:
        TrainingLoop(sequential())
    assert_clear(caught.value, "model")


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (1.5, TypeError),
        (True, TypeError),
        (None, TypeError),
        ("batch", TypeError),
    ],
)
def test_save_freq(value, error):
    with pytest.raises(error) as caught:
        TrainingLoop(linear(), checkpoint_dir="somewhere", save_freq=value)
    assert_clear(caught.value, "save_freq")


@pytest.mark.parametrize("value", [3, b"x", ["x"]])
def test_checkpoint_dir(value):
    with pytest.raises(TypeError) as caught:
        TrainingLoop(linear(), checkpoint_dir=value)
    assert_clear(caught.value, "checkpoint_dir")


NO_DATASETS = {
    "none": None,
    "array": X,
    "arrays": (X, Y),
    "tensor": tf.constant(X),
    "generator": (batch for batch in [(X, Y)]),
    "iterator": iter(batches()),
}


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize("kind", NO_DATASETS)
def test_what_is_no_dataset(method, kind, refuses):
    refuses(method, "dataset", TypeError, NO_DATASETS[kind])


@pytest.mark.parametrize("kind", [kind for kind in NO_DATASETS if kind != "none"])
def test_what_is_no_validation_data(kind, refuses):
    refuses("fit", "validation_data", TypeError, batches(), validation_data=NO_DATASETS[kind])


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize("returned", [None, X], ids=["none", "array"])
def test_a_function_that_returns_no_dataset(method, returned, refuses):
    refuses(method, "dataset", TypeError, lambda epoch: returned)


def test_a_function_that_returns_no_validation_data(refuses):
    refuses("fit", "validation_data", TypeError, batches(), validation_data=lambda epoch: X)


def test_a_dataset_of_samples_on_replicas(two_replicas):
    with two_replicas.scope():
        loop = TrainingLoop(linear())
    scalars = tf.data.Dataset.from_tensor_slices((X[:, 0], Y[:, 0]))
    with pytest.raises(ValueError, match="batch") as caught:
        loop.fit(scalars, verbose=0)
    assert_clear(caught.value, "dataset")
    with pytest.raises(ValueError, match="batch") as caught:
        loop.fit(batches(X, Y), validation_data=scalars, verbose=0)
    assert_clear(caught.value, "validation_data")


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_no_batches(method, refuses):
    refuses(method, "dataset", ValueError, batches().take(0))
    refuses(method, "dataset", ValueError, batches().filter(lambda *batch: False))


def test_no_batches_of_validation_data(loop):
    with pytest.raises(ValueError, match="validation_data") as caught:
        loop.fit(batches(), validation_data=batches().take(0), verbose=0)
    assert_clear(caught.value, "validation_data")


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_data_without_an_end(method, refuses):
    name = "steps_per_epoch" if method == "fit" else "steps"
    refuses(method, name, ValueError, batches().repeat())


def test_validation_data_without_an_end(refuses):
    endless = batches().repeat()
    refuses("fit", "validation_steps", ValueError, batches(), validation_data=endless)


STEPS = [(0, ValueError), (-1, ValueError), (1.0, TypeError), ("2", TypeError), (True, TypeError)]


@pytest.mark.parametrize(("value", "error"), STEPS)
@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("fit", "steps_per_epoch"),
        ("fit", "validation_steps"),
        ("evaluate", "steps"),
        ("predict", "steps"),
    ],
)
def test_numbers_of_steps_and_epochs(method, name, value, error, refuses):
    more = {"validation_data": batches()} if method == "fit" else {}
    refuses(method, name, error, batches(), **more, **{name: value})


@pytest.mark.parametrize("name", ["epochs", "initial_epoch"])
@pytest.mark.parametrize(
    ("value", "error"),
    [(-1, ValueError), (1.0, TypeError), ("1", TypeError), (None, TypeError), (True, TypeError)],
)
def test_epochs(name, value, error, refuses):
    refuses("fit", name, error, batches(), **{name: value})


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize("value", ["loud", None, 1.5])
def test_verbose(method, value, refuses):
    refuses(method, "verbose", (TypeError, ValueError), batches(), verbose=value)


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize(
    "value",
    ["early", 3, [np.mean], keras.callbacks.EarlyStopping],
    ids=["name", "number", "function", "class"],
)
def test_callbacks(method, value, refuses):
    refuses(method, "callbacks", TypeError, batches(), callbacks=value)


def test_a_backup_besides_the_loops_own(refuses, tmp_path):
    backup = keras.callbacks.BackupAndRestore(str(tmp_path))
    refuses("fit", "callbacks", ValueError, batches(), callbacks=[backup])
    refuses("fit", "callbacks", ValueError, batches(), callbacks=backup)
