"""Runs that go on in the middle of an epoch: what has happened in it does not happen again."""

import numpy as np
import pytest
from tensorflow import keras

from tests.training.resuming import assert_resumes, killed, network, train
from tfk_patterns import _keras


class StopAt(keras.callbacks.Callback):
    """Ends the training in an epoch, after a step."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.place = [epoch, batch]

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if [self.epoch, batch] == self.place:
            self.model.stop_training = True


class Counts(keras.callbacks.Callback):
    """Counts epochs as they begin."""

    def __init__(self):
        super().__init__()
        self.begun = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.begun += 1

    def on_epoch_end(self, epoch, logs=None):
        logs["begun"] = self.begun


class Collects(keras.callbacks.Callback):
    """Remembers in several ways."""

    def __init__(self, memory, remember):
        super().__init__()
        self.memory = memory
        self.remember = remember

    def on_epoch_end(self, epoch, logs=None):
        self.remember(self.memory, epoch)
        logs["memory"] = repr(sorted(self.memory))


KILLS = [
    (1, "validation"),
    *(pytest.param(kill, marks=pytest.mark.slow) for kill in [(1, 3), (1, "end"), (0, 1)]),
]
MEMORIES = {
    "list": lambda: Collects([], list.append),
    "array": lambda: Collects(np.zeros(4), lambda array, epoch: array.__setitem__(epoch, 7)),
    "set": lambda: Collects(set(), set.add),
    "numbered": lambda: Collects({}, lambda by_epoch, epoch: by_epoch.update({epoch: 1})),
}


class PerOutput(keras.metrics.Metric):
    """A metric with a result for each output."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.total = self.add_weight(shape=(2,), initializer="zeros", name="total")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(_total(y_true - y_pred))

    def result(self):
        return self.total + 0.0

    def reset_state(self):
        self.total.assign([0.0, 0.0])


def _total(values):
    return keras.backend.sum(values, axis=0) if _keras.GENERATION == 2 else keras.ops.sum(values, 0)


@pytest.mark.parametrize("kill", KILLS)
def test_a_run_goes_on_wherever_it_broke_off(kill, tmp_path):
    assert_resumes(tmp_path, kill=kill)


@pytest.mark.parametrize(
    "schedule",
    [
        lambda epoch, lr: lr * 0.9,
        pytest.param(lambda epoch: 0.01 / (epoch + 1), marks=pytest.mark.slow),
    ],
    ids=["of_the_last", "of_the_epoch"],
)
def test_a_learning_rate_scheduler_is_asked_once_for_each_epoch(schedule, tmp_path):
    assert_resumes(tmp_path, callbacks=lambda: [keras.callbacks.LearningRateScheduler(schedule)])


def test_a_callback_counts_an_epoch_once(tmp_path):
    assert_resumes(tmp_path, callbacks=lambda: [Counts()])


@pytest.mark.parametrize("moment", ["end", pytest.param("validation", marks=pytest.mark.slow)])
def test_a_run_that_was_stopped_in_an_epoch_stays_stopped(moment, tmp_path):
    """After step 4, of which there is a checkpoint."""
    assert_resumes(tmp_path, kill=(1, moment), callbacks=lambda: [StopAt(1, 3)])


@pytest.mark.parametrize(
    "memory",
    ["array", *(pytest.param(n, marks=pytest.mark.slow) for n in ("list", "set", "numbered"))],
)
def test_what_a_callback_remembers_is_kept(memory, tmp_path):
    assert_resumes(tmp_path, kill=(2, 1), callbacks=lambda: [MEMORIES[memory]()])


def test_a_metric_may_have_several_results(tmp_path):
    assert_resumes(tmp_path, lambda: network(metrics=[PerOutput(name="each")]))


def test_a_model_made_again_in_the_same_process_goes_on(tmp_path):
    """Keras gives its layers, and the variables of its optimizer, other numbers."""
    undisturbed = train(network(), tmp_path / "undisturbed")
    killed(network, tmp_path / "killed")
    assert train(network(fresh=False), tmp_path / "killed") == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 2, 3, 5, 7, "epoch"])
def test_a_run_goes_on_from_any_distance(every, tmp_path):
    assert_resumes(tmp_path, kill=(2, 4), save_freq=every)
