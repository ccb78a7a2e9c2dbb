"""GradientAccumulationModel on two replicas, and in half precision."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.models.networks import (
    PARAMETERS,
    X,
    Y,
    assert_close_weights,
    assert_equal_weights,
    fit,
)
from tests.models.replicas import SAMPLE_WEIGHT, assert_equal_training, on_both
from tests.models.test_gradient_accumulation import (
    OPTIMIZERS,
    accumulating,
    iterations,
    penalized,
    plain,
)
from tfk_patterns import _keras


@pytest.mark.parametrize(
    "optimizer",
    [
        "schedule",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("global_clipnorm", "momentum", "adam", "clipnorm", "weight_decay")
        ),
    ],
)
def test_two_replicas_equal_one_device(optimizer, two_replicas):
    """The two batches of an epoch are a group, of 16 and 13 samples."""

    def make():
        return accumulating(OPTIMIZERS[optimizer](), penalized(), metrics=["mae"])

    models = on_both(two_replicas, make)
    assert_equal_training(models, sample_weight=SAMPLE_WEIGHT)
    assert iterations(models[0]) == iterations(models[1]) == 2


@pytest.mark.slow
def test_an_incomplete_group_on_two_replicas(two_replicas):
    """Of the four batches of two epochs three are applied, and the rest on demand."""

    def make():
        return accumulating(OPTIMIZERS["momentum"](), steps=3, last_group="carry")

    models = on_both(two_replicas, make)
    assert_equal_training(models)
    for model in models:
        model.apply_incomplete_group()
        assert iterations(model) == 2
    assert_equal_training(models, epochs=1)


@pytest.mark.slow
def test_is_applied_before_validation_on_two_replicas(two_replicas):
    def make():
        return accumulating(OPTIMIZERS["adam"](), steps=3)

    assert_equal_training(on_both(two_replicas, make), validation_data=(X, Y))


@pytest.mark.slow
@pytest.mark.parametrize("first", ["one", pytest.param("two", marks=pytest.mark.slow)])
def test_a_file_in_mid_group_goes_on_where_there_are_more_or_fewer_replicas(
    first, two_replicas, tmp_path
):
    scopes = {"one": contextlib.nullcontext(), "two": two_replicas.scope()}
    with scopes.pop(first):
        before = accumulating(OPTIMIZERS["momentum"](), steps=3, last_group="carry")
    fit(before, batch_size=12)
    before.save(tmp_path / "model.keras")
    with scopes.popitem()[1]:
        after = keras.models.load_model(tmp_path / "model.keras")
    assert_equal_training((before, after))
    assert iterations(before) == iterations(after) == 2


@pytest.fixture
def float16():
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_float16")
    yield
    keras.mixed_precision.set_global_policy(before)


def with_infinity(place):
    data = X.copy()
    data[place] = np.inf
    return data


@pytest.mark.usefixtures("float16")
def test_an_infinite_batch_skips_its_group():
    """The third of six batches, in groups of two: the others count as ever."""
    optimizer = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    ours = accumulating(optimizer)
    fit(ours, with_infinity(9), batch_size=4)
    optimizer = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    finite = accumulating(optimizer)
    for part in (slice(0, 8), slice(16, 24)):
        fit(finite, X[part], Y[part], batch_size=4)
    for weight, start in zip(ours.get_weights(), PARAMETERS, strict=True):
        assert np.isfinite(weight).all()
        assert (weight != start).any()
    # After the skipped group the scale of the loss is half of that before: float16 rounds alike.
    assert_close_weights(ours, finite, 1e-4)
    assert scale_of(ours) == 2.0**14
    assert iterations(ours) == (3 if _keras.GENERATION == 2 else 2)  # as Keras counts


def scale_of(model):
    scaled = "scale_loss" if _keras.GENERATION == 3 else "get_scaled_loss"
    return float(getattr(model.optimizer, scaled)(tf.constant(1.0)))


@pytest.mark.parametrize(
    "row",
    [pytest.param(1, marks=pytest.mark.slow), 9],
    ids=["first_replica", "second_replica"],
)
@pytest.mark.usefixtures("float16")
def test_an_infinity_of_one_replica_skips_the_group(row, two_replicas):
    """Keras 3 looks at the first replica alone (docs/findings.md)."""
    with two_replicas.scope():
        model = accumulating()
    fit(model, with_infinity(row)[:16], Y[:16], batch_size=16, epochs=2)
    assert_equal_weights(model, PARAMETERS)


@pytest.mark.slow
@pytest.mark.usefixtures("float16")
def test_half_precision_equals_larger_batches():
    ours, large = accumulating(OPTIMIZERS["momentum"]()), plain(OPTIMIZERS["momentum"]())
    fit(ours, batch_size=4, epochs=2)
    fit(large, batch_size=8, epochs=2)
    assert_close_weights(ours, large, 2e-3)  # three digits, of gradients up to 1 and rates of 0.1
    assert iterations(ours) == iterations(large) == 6
