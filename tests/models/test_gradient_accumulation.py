"""GradientAccumulationModel trains as `keras.Model` does with larger batches."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.models.networks import (
    MODES,
    PARAMETERS,
    SAMPLE_WEIGHT,
    X,
    Y,
    assert_close_weights,
    assert_equal_weights,
    compiled,
    fit,
    functional,
    sequential,
    subclassed,
    two_layers,
)
from tfk_patterns import _keras
from tfk_patterns.models import GradientAccumulationModel

ROUNDING = 2e-6  # sums over samples in another order, in float32
RATES = keras.optimizers.schedules.PiecewiseConstantDecay([1, 3], [0.3, 0.1, 0.03])
OPTIMIZERS = {
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(0.01, epsilon=1e-3),  # which rounding does not move
    "schedule": lambda: keras.optimizers.SGD(RATES),
    "clipnorm": lambda: keras.optimizers.SGD(0.1, clipnorm=0.05),
    "global_clipnorm": lambda: keras.optimizers.SGD(0.1, global_clipnorm=0.1),
    "weight_decay": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1, epsilon=1e-3),
    "averages": lambda: keras.optimizers.SGD(
        0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2
    ),
}
QUICK = ("momentum", "schedule", "global_clipnorm", "weight_decay")


def accumulating(optimizer=None, layers=None, make=functional, steps=2, last_group="apply", **own):
    model = make(
        GradientAccumulationModel, layers or two_layers(), steps=steps, last_group=last_group
    )
    return compiled(model, optimizer, **own)


def plain(optimizer=None, layers=None, **own):
    return compiled(functional(keras.Model, layers or two_layers()), optimizer, **own)


def iterations(model):
    return int(tf.convert_to_tensor(_keras.inner_optimizer(model.optimizer).iterations))


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in OPTIMIZERS],
)
def test_equals_batches_twice_as_large(name):
    ours, large = accumulating(OPTIMIZERS[name]()), plain(OPTIMIZERS[name]())
    fit(ours, batch_size=4, epochs=2)
    fit(large, batch_size=8, epochs=2)
    assert_close_weights(ours, large, ROUNDING)
    assert iterations(ours) == iterations(large) == 6


@pytest.mark.slow
@pytest.mark.parametrize("make", [sequential, subclassed], ids=["sequential", "subclassed"])
def test_made_in_other_ways(make):
    """Of which the subclassed model is not built before its first step."""
    ours = accumulating(OPTIMIZERS["momentum"](), make=make)
    large = plain(OPTIMIZERS["momentum"]())
    fit(ours, batch_size=4, epochs=2)
    fit(large, batch_size=8, epochs=2)
    assert_close_weights(ours, large, ROUNDING)


class MeanSquare(keras.layers.Layer):
    """Adds a loss by `add_loss`, a mean over the samples."""

    def call(self, inputs):
        self.add_loss(0.5 * tf.reduce_mean(tf.square(inputs)))
        return inputs


def penalized():
    return [*two_layers(keras.regularizers.L2(0.1)), MeanSquare()]


def test_penalties_and_sample_weights():
    models = accumulating(layers=penalized()), plain(layers=penalized())
    for model, size in zip(models, (4, 8), strict=True):
        fit(model, batch_size=size, epochs=2, sample_weight=SAMPLE_WEIGHT)
    assert_close_weights(*models, ROUNDING)


@pytest.mark.slow
def test_logs_are_those_of_small_batches():
    """With a rate of 0, where the weights are always the same."""
    models = [accumulating(metrics=["mae"]), plain(metrics=["mae"])]
    for model in models:
        model.optimizer.learning_rate = 0.0
    ours, theirs = (fit(model, batch_size=5, validation_data=(X, Y)) for model in models)
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-6, err_msg=name)


def test_batches_count_by_their_samples():
    """24 samples in batches of 5, 5, 5, 5 and 4."""
    ours, large = accumulating(layers=penalized(), steps=5), plain(layers=penalized())
    fit(ours, batch_size=5, epochs=2)
    fit(large, batch_size=24, epochs=2)
    assert_close_weights(ours, large, ROUNDING)


@pytest.fixture
def _unfused_graphs():
    """On some processors a graph fuses a product with what follows, and rounds elsewhere."""
    before = tf.config.optimizer.get_experimental_options().get("remapping", True)
    tf.config.optimizer.set_experimental_options({"remapping": False})
    yield
    tf.config.optimizer.set_experimental_options({"remapping": before})


@pytest.mark.usefixtures("_unfused_graphs")
@pytest.mark.parametrize("mode", ["eager", "xla"])
def test_every_mode_equals_the_graph(mode):
    """To the bit eagerly; XLA fuses and rounds in other places."""
    graph, other = (
        accumulating(OPTIMIZERS["momentum"](), steps=4, **MODES[name]) for name in ("graph", mode)
    )
    ours, theirs = (fit(model, batch_size=4, epochs=2) for model in (graph, other))
    assert iterations(graph) == iterations(other) == 4
    assert_close_weights(graph, other, ROUNDING if mode == "xla" else 0.0)
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-6 if mode == "xla" else 0)


@pytest.mark.parametrize(
    "optimizer",
    [
        "momentum",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("adam", "global_clipnorm")),
    ],
)
def test_one_step_is_plain_training(optimizer):
    """To the bit with batches of a power of two, by which a sum is divided exactly."""
    ours, large = accumulating(OPTIMIZERS[optimizer](), steps=1), plain(OPTIMIZERS[optimizer]())
    histories = [fit(model, batch_size=8, epochs=2) for model in (ours, large)]
    assert_equal_weights(ours, large)
    assert histories[0] == histories[1]
    for model in (ours, large):
        fit(model, batch_size=7)
    assert_close_weights(ours, large, ROUNDING)


def test_an_embedding():
    """Its sparse gradients are added up as dense ones, with ids that repeat."""
    ids = np.random.default_rng(1).integers(0, 9, size=(24, 3)).astype("int32")

    def layers():
        table = keras.layers.Embedding(9, 4, embeddings_initializer="ones")
        return [keras.Input((3,)), table, keras.layers.Flatten(), keras.layers.Dense(2)]

    models = GradientAccumulationModel(layers(), steps=3), keras.Sequential(layers())
    models[0].set_weights(models[1].get_weights())
    for model, size in zip(models, (4, 12), strict=True):
        fit(compiled(model), x=ids, batch_size=size, epochs=2)
    assert_close_weights(*models, ROUNDING)


@pytest.mark.slow
def test_a_frozen_layer_stays_and_can_be_freed_in_between():
    layers, others = two_layers(), two_layers()
    ours, large = accumulating(layers=layers), plain(layers=others)
    for trainable in (False, True):
        for model, first, size in ((ours, layers[0], 4), (large, others[0], 8)):
            first.trainable = trainable
            fit(compiled(model), batch_size=size)
    assert_close_weights(ours, large, ROUNDING)
    assert (ours.get_weights()[0] != PARAMETERS[0]).any()


def test_train_on_batch_and_an_incomplete_group():
    ours, large = accumulating(steps=3), plain()
    for model, size in ((ours, 4), (large, 12)):
        for start in range(0, 24, size):
            model.train_on_batch(X[start : start + size], Y[start : start + size])
    assert_close_weights(ours, large, ROUNDING)
    before = ours.get_weights()
    ours.train_on_batch(X[:4], Y[:4])
    ours.train_on_batch(X[4:8], Y[4:8])
    assert_equal_weights(ours, before)
    ours.apply_incomplete_group()
    large.train_on_batch(X[:8], Y[:8])
    assert_close_weights(ours, large, ROUNDING)
    after = ours.get_weights()
    ours.apply_incomplete_group()  # of which there is none
    assert_equal_weights(ours, after)
    assert iterations(ours) == 3
