"""Runs that break off at a given place and are started again, without another process."""

import contextlib

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.training import TrainingLoop

_DRAWS = np.random.default_rng(0)
X = _DRAWS.normal(size=(40, 4)).astype("float32")
Y = _DRAWS.normal(size=(40, 2)).astype("float32")


class Killed(Exception):
    pass


class KillAt(keras.callbacks.Callback):
    """Breaks off before a step of an epoch, in its validation, or at its end."""

    def __init__(self, epoch=None, moment=0):
        super().__init__()
        self.place = [epoch, moment]
        self.epoch = None

    def _at(self, moment):
        if [self.epoch, moment] == self.place:
            raise Killed

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        self._at(batch)

    def on_test_begin(self, logs=None):
        self._at("validation")

    def on_epoch_end(self, epoch, logs=None):
        self._at("end")


def pairs():
    return tf.data.Dataset.from_tensor_slices((X, Y))


def in_order():
    """Five batches of 8."""
    return pairs().batch(8)


def network(*extra, optimizer=None, units=5, fresh=True, **arguments):
    """A compiled model with more layers between two; the same each time."""
    if fresh:  # as in a new process
        keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    dense = [keras.layers.Dense(units, "tanh"), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,)), dense[0], *[make() for make in extra], dense[1]])
    optimizer = keras.optimizers.Adam(0.01) if optimizer is None else optimizer()
    model.compile(optimizer, "mse", **arguments)
    return model


def train(model, folder, kill=(), data=in_order, callbacks=list, save_freq=2, **fit):
    """Trains; all numbers at the end, in bytes."""
    fit = {"epochs": 3, "validation_data": pairs().take(16).batch(8), "verbose": 0, **fit}
    loop = TrainingLoop(model, checkpoint_dir=folder, save_freq=save_freq)
    history = loop.fit(data(), callbacks=[*callbacks(), KillAt(*kill)], **fit).history
    return [repr(history), *numbers(model)]


def numbers(model):
    """The bytes of weights and optimizer variables."""
    variables = [*model.weights, *_keras.optimizer_variables(model.optimizer)]
    return [_keras.tensorflow_variable(one).numpy().tobytes() for one in variables]


def killed(make, folder, kill=(1, 3), **run):
    """Trains until the kill."""
    with contextlib.suppress(Killed):
        train(make(), folder, kill, **run)
        raise AssertionError("nothing killed it")


def assert_resumes(tmp_path, make=network, kill=(1, 3), **run):
    """Killed there and started again, it ends as without: weights, optimizer, history."""
    undisturbed = train(make(), tmp_path / "undisturbed", **run)
    killed(make, tmp_path / "killed", kill, **run)
    assert train(make(), tmp_path / "killed", **run) == undisturbed


def newest(folder):
    """The file of the last checkpoint."""
    return sorted(folder.glob("*.npz"))[-1]
