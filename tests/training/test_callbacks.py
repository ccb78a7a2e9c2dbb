"""Callbacks of Keras in a loop: the same calls, and to the same effect, as in `fit`."""

import functools
import re

import numpy as np
import pytest
from tensorflow import keras

from tests.training.runs import (
    X,
    Y,
    assert_equals_fit,
    assert_same_bits,
    batches,
    compiled,
    sequential,
    state,
    twins,
)
from tfk_patterns import _keras

callbacks = keras.callbacks
slow = pytest.mark.slow
HOOKS = [
    f"on_{what}_{end}"
    for what in ("train", "epoch", "train_batch", "test", "test_batch", "predict", "predict_batch")
    for end in ("begin", "end")
]


def linear(rate=0.1, **arguments):
    model = sequential(stack=[keras.layers.Dense(2)])
    return compiled(model, keras.optimizers.SGD(rate), weighted=None, **arguments)


class Recorder(callbacks.Callback):
    """Notes each call with what it is given."""

    def __init__(self):
        super().__init__()
        self.calls = []
        for hook in HOOKS:
            setattr(self, hook, functools.partial(self._note, hook))

    def set_params(self, params):
        super().set_params(params)
        self.calls.append(("params", dict(params)))

    def _note(self, hook, *arguments, logs=None):
        *place, logs = arguments if logs is None else (*arguments, logs)
        self.calls.append((hook, *map(int, place), numbers(logs)))


def numbers(logs):
    if logs is None:
        return None
    return {name: np.asarray(value).tolist() for name, value in logs.items()}


def unknown_length():
    return batches(X, Y).unbatch().filter(lambda x, y: x[0] > -0.5).batch(8)


CALLS = {
    "known": (lambda: batches(X, Y), {"epochs": 3, "initial_epoch": 1}),
    # In later epochs `fit` takes the length of the first for known; the loop looks each time.
    "unknown": (unknown_length, {"epochs": 1}),
    "steps": (lambda: batches(X, Y).repeat(), {"epochs": 2, "steps_per_epoch": 3}),
}


@pytest.mark.parametrize(
    ("kind", "steps_per_execution"),
    [
        ("known", 1),
        ("unknown", 1),
        ("steps", 3),
        *(pytest.param(*case, marks=slow) for case in (("known", 3), ("steps", 1))),
    ],
)
def test_the_calls_of_fit(kind, steps_per_execution):
    """The same in the same order, with the same places and logs."""
    data, arguments = CALLS[kind]
    found, expected = Recorder(), Recorder()
    loop, model = twins(lambda: linear(steps_per_execution=steps_per_execution))
    for method, recorder in ((loop.fit, found), (model.fit, expected)):
        more = {"validation_data": batches(X, Y, rows=21), "verbose": 0, **arguments}
        method(data(), callbacks=[recorder], **more)
    assert {hook for hook, *_ in expected.calls} == {"params", *HOOKS[:10]}
    assert_same_calls(found, expected)


@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_the_calls_of(method):
    found, expected = Recorder(), Recorder()
    loop, model = twins(linear)
    getattr(loop, method)(batches(X, Y), callbacks=[found], verbose=0)
    getattr(model, method)(batches(X, Y), callbacks=[expected], verbose=0)
    assert len(expected.calls) == 15  # two for each of six batches
    assert_same_calls(found, expected)


def assert_same_calls(found, expected):
    assert [call[:-1] for call in found.calls] == [call[:-1] for call in expected.calls]
    for ours, theirs in zip(found.calls, expected.calls, strict=True):
        assert ours == theirs


@pytest.mark.parametrize("given", ["alone", "tuple", "list of lists", "list of Keras'"])
def test_ways_to_give_callbacks(given):
    loop, _ = twins(linear)
    recorder = Recorder()
    ways = {"alone": recorder, "tuple": (recorder,), "list of lists": [[recorder]]}
    own = callbacks.CallbackList([recorder], model=loop.model, add_history=True, epochs=1)
    loop.fit(batches(), callbacks=ways.get(given, own), verbose=0)
    assert [hook for hook, *_ in recorder.calls if hook.startswith("on_train_")][-1] == HOOKS[1]
    assert recorder.model is loop.model


class StopAt(callbacks.Callback):
    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.batch and self.model.optimizer.iterations > 6:
            self.model.stop_training = True


@pytest.mark.parametrize("steps_per_execution", [1, pytest.param(2, marks=slow)])
def test_a_stop_in_mid_epoch(steps_per_execution):
    """The epoch ends with validation; the next call of `fit` starts anew."""
    pair = assert_equals_fit(
        lambda: linear(steps_per_execution=steps_per_execution),
        epochs=4,
        callbacks=[StopAt(3)],
        validation_data=batches(rows=21),
    )
    assert len(pair[0].model.history.epoch) == 2
    assert int(pair[0].model.optimizer.iterations) == 10
    assert_equals_fit(None, pair=pair)


EFFECTS = {
    "best_weights": lambda: callbacks.EarlyStopping(
        "val_loss", patience=1, restore_best_weights=True
    ),
    "start_from_epoch": lambda: callbacks.EarlyStopping("val_loss", start_from_epoch=2),
    "plateau": lambda: callbacks.ReduceLROnPlateau("val_loss", patience=1, factor=0.5),
    "schedule": lambda: callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5),
    "no_number": lambda: callbacks.TerminateOnNaN(),
}


@pytest.mark.parametrize(
    "effect",
    [pytest.param(e, marks=() if e in ("best_weights", "plateau") else slow) for e in EFFECTS],
)
def test_callbacks_with_effects(effect):
    """At a rate at which the loss rises, or of one that overflows."""
    rate = 1e12 if effect == "no_number" else 1.2
    loop, model = twins(lambda: linear(rate))
    found, expected = (
        run.fit(
            batches(),
            epochs=6,
            validation_data=batches(rows=21),
            callbacks=[EFFECTS[effect]()],
            verbose=0,
        )
        for run in (loop, model)
    )
    assert found.epoch == expected.epoch
    np.testing.assert_equal(found.history, expected.history)
    assert_same_bits(state(loop.model), state(model))
    assert len(found.epoch) < 6 or effect in ("plateau", "schedule")
    if effect in ("plateau", "schedule"):
        assert float(_keras_rate(loop.model)) < rate


def _keras_rate(model):
    return np.asarray(model.optimizer.learning_rate)


def both_ways(folder, make):
    """Callbacks writing into a folder of each run."""
    loop, model = twins(linear)
    for name, run in (("loop", loop), ("fit", model)):
        (folder / name).mkdir()
        data = {"validation_data": batches(rows=21), "verbose": 0}
        run.fit(batches(), epochs=3, callbacks=[make(folder / name)], **data)
    names = [
        sorted(str(file.relative_to(folder / name)) for file in (folder / name).rglob("*"))
        for name in ("loop", "fit")
    ]
    assert names[0]
    return loop, model, *names


@pytest.mark.parametrize("save_freq", ["epoch", pytest.param(4, marks=slow)])
def test_model_checkpoint(save_freq, tmp_path):
    def make(folder):
        file = folder / "{epoch}-{loss:.6f}.keras"
        return callbacks.ModelCheckpoint(str(file), save_freq=save_freq)

    _, _, found, expected = both_ways(tmp_path, make)
    assert found == expected
    for name in found:
        models = [keras.models.load_model(tmp_path / run / name) for run in ("loop", "fit")]
        assert_same_bits(*(state(model) for model in models))


def test_csv_logger(tmp_path):
    both_ways(tmp_path, lambda folder: callbacks.CSVLogger(str(folder / "log.csv")))
    found, expected = ((tmp_path / run / "log.csv").read_text() for run in ("loop", "fit"))
    assert found == expected
    assert len(found.splitlines()) == 4


def events(folder):
    """What TensorBoard was told: tag, step, and value of each number."""
    pytest.importorskip("tensorboard", reason="TensorBoard reads what its callback wrote")
    from tensorboard.backend.event_processing import event_file_loader
    from tensorboard.util import tensor_util

    found = set()
    for file in folder.rglob("*tfevents*"):
        for event in event_file_loader.EventFileLoader(str(file)).Load():
            for value in event.summary.value if event.HasField("summary") else ():
                number = tensor_util.make_ndarray(value.tensor)
                if number.ndim == 0 and number.dtype.kind == "f" and "per_second" not in value.tag:
                    found.add((file.parent.name, value.tag, event.step, float(number)))
    return found


@pytest.mark.parametrize("update_freq", ["epoch", pytest.param("batch", marks=slow)])
def test_tensorboard(update_freq, tmp_path):
    both_ways(
        tmp_path,
        lambda folder: callbacks.TensorBoard(
            str(folder), update_freq=update_freq, write_graph=False
        ),
    )
    found, expected = events(tmp_path / "loop"), events(tmp_path / "fit")
    assert {("train", 2), ("validation", 2)} <= {(run, step) for run, _, step, _ in found}
    assert found == expected


@pytest.mark.parametrize("verbose", ["auto", 2, pytest.param(1, marks=slow)])
def test_what_is_shown(verbose, capsys):
    """What `fit`, `evaluate` and `predict` show: once, and without the times."""
    loop, model = twins(linear)
    texts = []
    for run in (loop, model):
        data = {"epochs": 2, "validation_data": batches(rows=21)}
        run.fit(batches(), verbose=verbose, **data)
        run.evaluate(batches(), verbose=verbose)
        run.predict(batches(), verbose=verbose)
        texts.append(without_times(capsys.readouterr().out))
    assert texts[0] == texts[1]
    assert texts[0].count("Epoch 1/2") == 1


def without_times(text):
    text = re.sub(r"\x1b\[[0-9;]*m|\x08|\r", "", text)
    text = re.sub(r"\d+(us|ms|s|:\d\d)(/step|/epoch)?", "TIME", text)
    lines = re.sub(r" *(- )?(ETA: )?TIME", "", text)
    # How often a bar is drawn anew depends on the time: the last of each counts.
    shown = [line.rstrip() for line in lines.splitlines() if line.strip()]
    return [re.split(r"(?=\d/\d )", line)[-1] for line in shown]


def test_silence(capfd):
    loop, _ = twins(linear)
    loop.fit(batches(), validation_data=batches(rows=21), verbose=0)
    loop.evaluate(batches(), verbose=0)
    loop.predict(batches(), verbose=0)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "Epoch" not in captured.err
    assert "WARNING" not in captured.err


def test_the_history_is_the_last_calls():
    loop, _ = twins(linear)
    first = loop.fit(batches(), epochs=2, verbose=0)
    assert loop.model.history is first
    second = loop.fit(batches(), epochs=5, initial_epoch=3, verbose=0)
    assert loop.model.history is second
    assert (first.epoch, second.epoch) == ([0, 1], [3, 4])
    nothing = loop.fit(batches(), epochs=2, initial_epoch=2, verbose=0)
    assert nothing.history == {}


@pytest.mark.skipif(_keras.GENERATION == 2, reason="Keras 2 has no such attributes")
@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_a_stop_of_evaluation_and_prediction(method):
    class Stop(callbacks.Callback):
        def on_test_batch_end(self, batch, logs=None):
            self.model.stop_evaluating = batch == 1

        def on_predict_batch_end(self, batch, logs=None):
            self.model.stop_predicting = batch == 1

    loop, model = twins(linear)
    found = getattr(loop, method)(batches(X, Y), callbacks=[Stop()], verbose=0)
    return_dict = {"return_dict": True} if method == "evaluate" else {}
    expected = getattr(model, method)(batches(X, Y), callbacks=[Stop()], verbose=0, **return_dict)
    assert_same_bits(found, expected)
