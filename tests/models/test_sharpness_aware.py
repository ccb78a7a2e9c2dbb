"""SharpnessAwareModel: its steps beside those of NumPy, and what a step must leave as it was."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.models import oracles
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
from tfk_patterns.models import SharpnessAwareModel

ROUNDING = 2e-6  # six steps in float32, of weights up to 2
LINEAR = [PARAMETERS[0][:, :2], PARAMETERS[3]]
MAKERS = [functional, sequential, subclassed]


def trained_oracle(parameters=PARAMETERS, rho=0.05, adaptive=False, **arguments):
    return oracles.in_batches(
        oracles.sharpness_aware_step,
        parameters,
        X,
        Y,
        batch_size=8,
        epochs=2,
        rate=0.1,
        rho=rho,
        adaptive=adaptive,
        **arguments,
    )


def of_two_layers(make=functional, regularizer=None, **arguments):
    return make(SharpnessAwareModel, two_layers(regularizer), **arguments)


@pytest.mark.parametrize("adaptive", [False, True], ids=["sam", "asam"])
@pytest.mark.parametrize("rho", [0.05, pytest.param(0.7, marks=pytest.mark.slow)])
def test_equals_numpy(rho, adaptive):
    model = compiled(of_two_layers(rho=rho, adaptive=adaptive))
    fit(model, epochs=2)
    assert_close_weights(model, trained_oracle(rho=rho, adaptive=adaptive), ROUNDING)


@pytest.mark.parametrize("mode", ["eager", "xla"])
@pytest.mark.parametrize(
    "adaptive", [pytest.param(False, marks=pytest.mark.slow), True], ids=["sam", "asam"]
)
def test_equals_numpy_in_every_mode(mode, adaptive):
    model = compiled(of_two_layers(rho=0.3, adaptive=adaptive), **MODES[mode])
    fit(model, epochs=2)
    assert_close_weights(model, trained_oracle(rho=0.3, adaptive=adaptive), ROUNDING)


def test_of_a_linear_model_equals_numpy():
    model = functional(SharpnessAwareModel, [keras.layers.Dense(2)], rho=0.3)
    fit(compiled(model, weights=LINEAR), epochs=2)
    assert_close_weights(model, trained_oracle(LINEAR, rho=0.3), ROUNDING)


def test_sample_weights_equal_numpy():
    model = compiled(of_two_layers(rho=0.3))
    fit(model, epochs=2, sample_weight=SAMPLE_WEIGHT)
    expected = trained_oracle(rho=0.3, sample_weight=SAMPLE_WEIGHT)
    assert_close_weights(model, expected, ROUNDING)


def test_both_gradients_hold_the_regulariser():
    model = compiled(of_two_layers(rho=0.3, regularizer=keras.regularizers.L2(0.1)))
    fit(model, epochs=2)
    assert_close_weights(model, trained_oracle(rho=0.3, l2=0.1), ROUNDING)


def test_the_second_gradient_differs_from_the_first():
    """SAM that takes the gradient at the weights themselves trains too, as plain descent."""
    model = compiled(of_two_layers(rho=0.5))
    data = tf.constant(X), tf.constant(Y), None
    second, loss, _ = model.compute_gradients(*data)
    first, plain_loss, _ = super(SharpnessAwareModel, model).compute_gradients(*data)
    float64 = [p.astype("float64") for p in PARAMETERS]
    for ours, expected in zip(first, oracles.gradients_of(float64, X, Y), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=ROUNDING)
    stepped = oracles.sharpness_aware_step(float64, 1.0, 0.5, False, x=X, y=Y)
    for ours, before, after in zip(second, float64, stepped, strict=True):
        np.testing.assert_allclose(ours, before - after, rtol=0, atol=ROUNDING)
    distance = max(np.abs(a - b).max() for a, b in zip(first, second, strict=True))
    assert distance > 0.05  # far from rounding
    assert float(loss) == float(plain_loss)


@pytest.mark.parametrize("mode", ["graph", "eager", pytest.param("xla", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "adaptive", [pytest.param(False, marks=pytest.mark.slow), True], ids=["sam", "asam"]
)
def test_weights_are_put_back_to_the_bit(mode, adaptive):
    optimizer = keras.optimizers.SGD(0.0)
    model = compiled(of_two_layers(rho=0.7, adaptive=adaptive), optimizer, **MODES[mode])
    fit(model, epochs=2)
    assert_equal_weights(model, PARAMETERS)


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_made_in_three_ways(make):
    """Of which the subclassed model is not built before its first step."""
    model = compiled(of_two_layers(make, rho=0.3))
    fit(model, epochs=2)
    assert_close_weights(model, trained_oracle(rho=0.3), ROUNDING)


@pytest.mark.parametrize("adaptive", [False, True], ids=["sam", "asam"])
def test_without_a_gradient_weights_stay(adaptive):
    """The norm is 0 then."""
    model = compiled(of_two_layers(adaptive=adaptive))
    at_optimum = model.predict(X, verbose=0)
    zero = [np.zeros_like(p) for p in PARAMETERS]
    for weights, targets in ((PARAMETERS, at_optimum), (zero, np.zeros_like(Y))):
        model.set_weights(weights)
        fit(model, y=targets, batch_size=24)
        assert_close_weights(model, weights, 1e-7 if weights is PARAMETERS else 0.0)
