"""What `compile` and `fit` can be told works in a `TrainStepModel` as in a `keras.Model`."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.models.train_step_cases import (
    KERAS3,
    X,
    Y,
    assert_fits_alike,
    assert_same,
    dense,
    fitted,
    linear,
    state,
    subclassed,
)
from tfk_patterns.models import TrainStepModel


def with_optimizer(make, *arguments, loss="mse", **more):
    """What makes the arguments of `compile`."""
    return lambda: {"optimizer": make(*arguments, **more), "loss": loss}


SGD, ADAM = keras.optimizers.SGD, keras.optimizers.Adam


@pytest.mark.parametrize(
    "clipping", [{"clipnorm": 0.05}, {"global_clipnorm": 0.1}, {"clipvalue": 0.01}], ids=str
)
def test_clipping(clipping):
    assert_fits_alike(linear, compiling=with_optimizer(SGD, 0.1, **clipping))


def test_a_schedule():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([1, 3], [0.5, 0.1, 0.01])
    assert_fits_alike(linear, compiling=with_optimizer(SGD, schedule))


def test_a_callback_that_sets_the_rate():
    found = []
    for base in (keras.Model, TrainStepModel):
        rate = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 / (epoch + 1))
        found.append(fitted(linear(base), compiling=with_optimizer(SGD), callbacks=[rate]))
    assert_same(found[1], found[0])


@pytest.mark.slow
def test_weight_decay_and_moving_averages_of_the_optimizer():
    make = keras.optimizers.AdamW
    more = {"weight_decay": 0.1, "use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3}
    assert_fits_alike(linear, compiling=with_optimizer(make, 0.05, **more))


@pytest.mark.parametrize("eager", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_steps_per_execution(eager):
    def compiling():
        arguments = {"steps_per_execution": 3, "run_eagerly": eager}
        return {"optimizer": SGD(0.1), "loss": "mse", "metrics": ["mae"], **arguments}

    # 5 steps an epoch: 3 and 2
    assert_fits_alike(linear, compiling=compiling, batch_size=2)


def half(base, **arguments):
    inputs = keras.Input((3,))
    hidden = dense(4, 1, activation="tanh", dtype="mixed_float16", **arguments)(inputs)
    return base(inputs, dense(2, 2, dtype="float32")(hidden))


@pytest.fixture
def mixed_float16():
    keras.mixed_precision.set_global_policy("mixed_float16")
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize("make", [half, pytest.param(subclassed, marks=pytest.mark.slow)])
@pytest.mark.usefixtures("mixed_float16")
def test_mixed_precision(make):
    assert_fits_alike(make, compiling=with_optimizer(SGD, 0.1, momentum=0.9))


@pytest.mark.slow
@pytest.mark.usefixtures("mixed_float16")
def test_a_loss_scale_that_overflows_and_grows():
    """2**40 is too much for float16: Keras skips steps and halves, then doubles again."""

    def compiling():
        optimizer = keras.mixed_precision.LossScaleOptimizer(
            SGD(0.1), initial_scale=2.0**40, dynamic_growth_steps=3
        )
        return {"optimizer": optimizer, "loss": "mse"}

    assert_fits_alike(half, compiling=compiling, epochs=20)


@pytest.mark.skipif(not KERAS3, reason="Keras 2 has no `loss_scale_factor`")
def test_a_fixed_loss_scale():
    assert_fits_alike(linear, compiling=with_optimizer(SGD, 0.1, loss_scale_factor=8.0))


@pytest.mark.skipif(not KERAS3, reason="Keras 2 accumulates no gradients")
def test_accumulation_by_the_optimizer():
    more = {"gradient_accumulation_steps": 3}
    assert_fits_alike(linear, compiling=with_optimizer(SGD, 0.1, **more))


@pytest.mark.skipif(KERAS3, reason="Keras 3 has no legacy optimizers")
@pytest.mark.filterwarnings("ignore")
def test_legacy_optimizers():
    arguments = with_optimizer(keras.optimizers.legacy.Adam, 0.05, clipnorm=0.05)
    assert_fits_alike(linear, compiling=arguments)


class Penalised(keras.layers.Layer):
    """Adds losses of its own."""

    def call(self, inputs):
        self.add_loss(0.3 * tf.reduce_mean(inputs**2))
        self.add_loss(tf.abs(tf.reduce_mean(inputs)))
        return inputs


def with_penalties(base):
    inputs = keras.Input((3,))
    regularised = {
        "kernel_regularizer": keras.regularizers.L1L2(0.1, 0.2),
        "bias_regularizer": keras.regularizers.L2(0.1),
        "activity_regularizer": keras.regularizers.L2(0.01),
    }
    hidden = Penalised()(dense(4, 1, **regularised)(inputs))
    return base(inputs, dense(2, 2)(hidden))


def test_losses_of_layers():
    compiling = with_optimizer(SGD, 0.05)
    assert_fits_alike(with_penalties, compiling=compiling, then=evaluated)


def evaluated(model, y=Y):
    return {"loss": np.asarray(model.evaluate(X, y, batch_size=4, verbose=0))}


@pytest.mark.skipif(not KERAS3, reason="Keras 2 counts every batch alike in this case")
def test_no_targets():
    """The layers' losses are all there is."""

    compiling = with_optimizer(SGD, 0.05, loss=None)
    then = functools.partial(evaluated, y=None)
    arguments = {"compiling": compiling, "batch_size": 4, "then": then}
    assert_fits_alike(with_penalties, X, None, **arguments)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_no_targets_count_samples_alike():
    """The logged loss over batches of 4, 4 and 2."""
    model = with_penalties(TrainStepModel)
    model.compile(SGD(0.0), run_eagerly=True)
    logged = model.fit(X, batch_size=4, shuffle=False, verbose=0).history["loss"]
    parts = [X[:4], X[4:8], X[8:]]
    losses = [float(model.test_on_batch(part)) for part in parts]
    np.testing.assert_allclose(logged, np.average(losses, weights=[4, 4, 2]), rtol=1e-6)


def test_an_own_compute_loss():
    """As `keras.Model` lets one override it. Keras 2 logs nothing then."""

    def make(base):
        class Own(base):
            def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **kwargs):
                return tf.reduce_mean(tf.abs(y - y_pred)) + 1.0

        return linear(Own)

    found = []
    for base in (keras.Model, TrainStepModel):
        model = make(base)
        error = np.abs(Y - np.asarray(model(X))).mean()
        model.compile(SGD(0.1), run_eagerly=True)
        logs = model.train_on_batch(X, Y, return_dict=True)
        found.append(state(model))
        if base is TrainStepModel:
            np.testing.assert_allclose(logs["loss"], error + 1.0, rtol=1e-6)
    assert_same(found[1], found[0])


@pytest.mark.parametrize(
    "optimizer", [SGD, pytest.param(keras.optimizers.RMSprop, marks=pytest.mark.slow)]
)
def test_sparse_gradients(optimizer):
    """Of integer inputs, with ids that come twice."""

    def make(base):
        inputs = keras.Input((4,), dtype="int32")
        start = keras.initializers.RandomNormal(seed=1)
        x = keras.layers.Embedding(6, 3, embeddings_initializer=start)(inputs)
        return base(inputs, dense(2, 1)(keras.layers.Flatten()(x)))

    ids = np.random.default_rng(0).integers(0, 5, size=(10, 4)).astype("int32")
    arguments = with_optimizer(optimizer, 0.1, clipnorm=0.1)
    assert_fits_alike(make, ids, compiling=arguments)


@pytest.mark.slow
def test_masks_and_recurrent_layers():
    def make(base):
        inputs = keras.Input((5, 3))
        masked = keras.layers.Masking()(inputs)
        start = keras.initializers.GlorotUniform(1)
        recurrent = keras.initializers.Orthogonal(seed=2)
        cell = keras.layers.GRU(
            2, kernel_initializer=start, recurrent_initializer=recurrent, return_sequences=True
        )
        return base(inputs, cell(masked))

    steps = np.random.default_rng(0).normal(size=(10, 5, 3)).astype("float32")
    steps[::2, 3:] = 0.0
    targets = np.ones((10, 5, 2), "float32")
    arguments = {"optimizer": "adam", "loss": "mse", "run_eagerly": True}
    assert_fits_alike(make, steps, targets, lambda: arguments, epochs=1)
