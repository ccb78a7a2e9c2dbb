"""What GradientAccumulationModel does with a group that an epoch does not complete."""

import numpy as np
import pytest
from tensorflow import keras

from tests.models.networks import X, Y, assert_close_weights, assert_equal_weights, compiled, fit
from tests.models.test_gradient_accumulation import (
    OPTIMIZERS,
    ROUNDING,
    accumulating,
    iterations,
    plain,
)
from tfk_patterns import _keras

TWICE = {"x": np.concatenate([X, X]), "y": np.concatenate([Y, Y])}


def momentum():
    return OPTIMIZERS["momentum"]()


def test_is_applied_before_validation():
    """Six batches of 4 in groups of four: 16 samples, and 8."""
    ours, large = accumulating(momentum(), steps=4), plain(momentum())
    arguments = {"epochs": 2, "validation_data": (X[:10], Y[:10])}
    ours_logs = fit(ours, batch_size=4, **arguments)
    large_logs = fit(large, batch_size=16, **arguments)
    assert_close_weights(ours, large, ROUNDING)
    np.testing.assert_allclose(ours_logs["val_loss"], large_logs["val_loss"], rtol=1e-6)
    assert iterations(ours) == iterations(large) == 4


def test_is_carried_into_the_next_epoch():
    ours, large = accumulating(momentum(), steps=4, last_group="carry"), plain(momentum())
    fit(ours, batch_size=4, epochs=2)
    fit(large, batch_size=16, **TWICE)
    assert_close_weights(ours, large, ROUNDING)
    assert iterations(ours) == 3


@pytest.mark.slow
def test_is_carried_into_the_next_fit():
    ours, large = accumulating(momentum(), steps=4, last_group="carry"), plain(momentum())
    fit(ours, batch_size=4, validation_data=(X, Y))
    assert iterations(ours) == 1
    ours.evaluate(X, Y, verbose=0)  # which applies nothing
    assert iterations(ours) == 1
    fit(ours, batch_size=4)
    fit(large, batch_size=16, **TWICE)
    assert_close_weights(ours, large, ROUNDING)
    assert iterations(ours) == 3


@pytest.mark.parametrize("optimizer", ["momentum", pytest.param("adam", marks=pytest.mark.slow)])
def test_is_in_a_keras_file(optimizer, tmp_path):
    """With the number of its samples: the batches are of 5, 5, 5, 5 and 4."""
    ours = accumulating(OPTIMIZERS[optimizer](), steps=3, last_group="carry")
    fit(ours, batch_size=5)
    ours.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert (loaded.steps, loaded.last_group) == (3, "carry")
    for model in (ours, loaded):
        fit(model, batch_size=5)
    assert_equal_weights(ours, loaded)
    assert iterations(ours) == iterations(loaded) == 3


@pytest.mark.slow
def test_is_in_a_weights_file(tmp_path):
    """Of a model that has trained on, and of one that has not."""
    ours = accumulating(steps=4, last_group="carry")
    fit(ours, batch_size=4)
    ours.save_weights(tmp_path / "m.weights.h5")
    fit(ours, batch_size=4)
    other = accumulating(steps=4, last_group="carry")
    fit(other, batch_size=8)
    for model in (accumulating(steps=4, last_group="carry"), other):
        model.load_weights(tmp_path / "m.weights.h5")
        fit(model, batch_size=4)
        assert_equal_weights(model, ours)


@pytest.mark.slow
def test_leaves_no_trace_in_a_file_where_none_is_pending(tmp_path):
    """A plain model reads it, and a model with a pending group forgets that."""
    ours = accumulating(steps=4)
    fit(ours, batch_size=4)
    ours.save_weights(tmp_path / "m.weights.h5")
    large, pending = plain(), accumulating(steps=4, last_group="carry")
    fit(pending, batch_size=4)
    for model in (large, pending):
        model.load_weights(tmp_path / "m.weights.h5")
        assert_equal_weights(model, ours)
    pending.apply_incomplete_group()
    assert_equal_weights(pending, ours)


def test_is_no_weight_of_the_model():
    ours, large = accumulating(), plain()
    fit(ours)
    assert [w.shape for w in ours.weights] == [w.shape for w in large.weights]
    assert len(ours.variables) == len(large.variables)


class AtEpochEnd(keras.callbacks.Callback):
    """Keeps the weights that a user's callback finds, as one that saves the best."""

    def on_epoch_end(self, epoch, logs=None):
        self.seen = self.model.get_weights()


@pytest.mark.parametrize(
    "how",
    [
        lambda callback, model: callback,
        lambda callback, model: (callback,),
        lambda callback, model: keras.callbacks.CallbackList([callback], True, model=model),
    ],
    ids=["one", "tuple", "callback_list"],
)
def test_beside_callbacks(how):
    """They find the applied weights at the end of the epoch."""
    ours, callback = accumulating(steps=4), AtEpochEnd()
    callbacks = how(callback, ours)
    for updates in (2, 4):
        fit(ours, batch_size=4, callbacks=callbacks)
        assert iterations(ours) == updates
        assert_equal_weights(ours, callback.seen)


def test_beside_positional_arguments():
    ours, callback = accumulating(steps=4), AtEpochEnd()
    given = [callback]
    ours.fit(X, Y, 4, 1, 0, given)
    assert iterations(ours) == 2
    assert_equal_weights(ours, callback.seen)
    assert given == [callback]  # the caller's list


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["momentum", pytest.param("adam", marks=pytest.mark.slow)])
def test_outlives_another_compile(optimizer):
    """The mean that is pending is applied by the new optimizer."""
    ours, large = accumulating(steps=4, last_group="carry"), plain()
    fit(ours, batch_size=4)  # 16 samples applied, 8 pending
    fit(large, X[:16], Y[:16], batch_size=16)
    for model in (ours, large):
        compiled(model, OPTIMIZERS[optimizer]())
    fit(ours, X[:8], Y[:8], batch_size=4)
    fit(large, np.concatenate([X[16:], X[:8]]), np.concatenate([Y[16:], Y[:8]]), batch_size=16)
    assert_close_weights(ours, large, ROUNDING)
    assert iterations(ours) == 1


@pytest.mark.slow
def test_is_applied_by_a_new_optimizer_without_another_step():
    ours, large = accumulating(steps=4, last_group="carry"), plain()
    fit(ours, batch_size=4)
    fit(large, X[:16], Y[:16], batch_size=16)
    for model in (ours, large):
        compiled(model, OPTIMIZERS["adam"]())
    ours.apply_incomplete_group()
    fit(large, X[16:], Y[16:], batch_size=8)
    assert_close_weights(ours, large, ROUNDING)


@pytest.mark.slow
@pytest.mark.skipif(_keras.GENERATION == 3, reason="Keras 3 has no such files")
def test_is_not_in_a_checkpoint_of_keras_2(tmp_path):
    ours = accumulating(steps=4, last_group="carry")
    fit(ours, batch_size=4)
    ours.save_weights(str(tmp_path / "checkpoint"))
    plain().load_weights(str(tmp_path / "checkpoint")).assert_existing_objects_matched()
