"""Without an override a `TrainStepModel` is a `keras.Model`, to the bit, in every mode."""

import functools

import numpy as np
import pytest
from tensorflow import keras

from tests.models.train_step_cases import (
    KERAS3,
    LABELS,
    MODES,
    WEIGHTS,
    X,
    Y,
    assert_fits_alike,
    assert_same,
    deferred,
    dense,
    fitted,
    functional,
    joined,
    numbers,
    returned,
    sequential,
    state,
    subclassed,
)
from tfk_patterns.models import TrainStepModel


def compiling(**more):
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    return {"optimizer": optimizer, "loss": "mse", "metrics": ["mae"], **more}


def classifying(**more):
    return {
        "optimizer": keras.optimizers.SGD(0.1, momentum=0.9),
        "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "metrics": ["accuracy"],
        "weighted_metrics": [keras.metrics.SparseCategoricalAccuracy(name="weighted")],
        **more,
    }


def test_in_xla():
    def compiling():
        return {"optimizer": keras.optimizers.SGD(0.1), "loss": "mse", "jit_compile": True}

    assert_fits_alike(functional, compiling=compiling, weights=WEIGHTS)


@pytest.mark.parametrize(
    "mode",
    [
        MODES["graph"],
        *(pytest.param(MODES[mode], marks=pytest.mark.slow) for mode in ("eager", "xla")),
    ],
    ids=MODES,
)
def test_all_that_a_model_returns(mode):
    assert_fits_alike(
        functools.partial(functional, units=3),
        *(X, LABELS, functools.partial(classifying, **mode), WEIGHTS),
        validation_data=(X[:5], LABELS[:5]),
        then=lambda model: returned(model, X, LABELS, WEIGHTS),
    )


@pytest.mark.slow
def test_class_weight_and_a_last_batch_of_fewer_samples():
    classes = {0: 1.0, 1: 3.0, 2: 0.25}

    make = functools.partial(functional, units=3)
    arguments = {"batch_size": 4, "class_weight": classes}
    assert_fits_alike(make, X, LABELS, classifying, **arguments)


@pytest.mark.parametrize(
    "make",
    [
        deferred,
        subclassed,
        *(pytest.param(m, marks=pytest.mark.slow) for m in (sequential, joined)),
    ],
)
def test_other_kinds(make):
    assert_fits_alike(make, compiling=compiling)


@pytest.mark.parametrize("make", [deferred, subclassed])
def test_models_without_variables_yet_on_a_batch(make):
    found = []
    for base in (keras.Model, TrainStepModel):
        model = make(base)
        model.compile(**compiling(run_eagerly=True))
        logs = numbers(model.train_on_batch(X, Y, return_dict=True))
        found.append({"logs": logs, **state(model)})
    assert_same(found[1], found[0])


@pytest.mark.slow
@pytest.mark.parametrize("mode", [MODES["eager"], MODES["xla"]], ids=["eager", "xla"])
@pytest.mark.parametrize("make", [sequential, deferred, subclassed, joined])
def test_other_kinds_in_other_modes(make, mode):
    arguments = functools.partial(compiling, **mode)
    assert_fits_alike(make, compiling=arguments, then=returned)


@pytest.mark.slow
def test_dropout():
    def make(base):
        return functional(base, between=[keras.layers.Dropout(0.5, seed=5)])

    assert_fits_alike(make, compiling=compiling)


def two_outputs(base, kind):
    inputs = keras.Input((3,))
    hidden = dense(4, 1, activation="tanh")(inputs)
    outputs = {"one": dense(2, 2, name="one")(hidden), "two": dense(1, 3, name="two")(hidden)}
    return base(inputs, as_kind(outputs, kind))


def as_kind(named, kind):
    return named if kind is dict else kind(named.values())


@pytest.mark.parametrize("kind", [dict, pytest.param(list, marks=pytest.mark.slow)])
def test_several_outputs(kind):
    arguments = {
        "loss": {"one": "mse", "two": "mae"},
        "loss_weights": {"one": 0.25, "two": 2.0},
        "metrics": {"one": ["mae"], "two": ["mse"]},
        "weighted_metrics": {"one": ["mape"], "two": []},
    }
    targets = as_kind({"one": Y, "two": Y[:, :1] - 1}, kind)
    weights = as_kind({"one": WEIGHTS, "two": WEIGHTS[::-1].copy()}, kind)

    def compiling():
        given = {name: as_kind(value, kind) for name, value in arguments.items()}
        return {"optimizer": keras.optimizers.SGD(0.05), **given}

    def evaluated(model):
        return {"logs": numbers(model.evaluate(X, targets, 5, 0, return_dict=True))}

    make = functools.partial(two_outputs, kind=kind)
    assert_fits_alike(make, X, targets, compiling, weights, then=evaluated)


def test_an_output_without_a_loss():
    def compiling():
        return {"optimizer": "sgd", "loss": {"one": "mse"}, "metrics": {"one": ["mae"]}}

    targets = {"one": Y, "two": Y[:, :1]}
    assert_fits_alike(functools.partial(two_outputs, kind=dict), X, targets, compiling)


@pytest.mark.slow
def test_several_inputs():
    def make(base):
        one, two = keras.Input((3,), name="one"), keras.Input((2,), name="two")
        both = keras.layers.Concatenate()([one, two])
        return base({"one": one, "two": two}, dense(2, 1)(both))

    assert_fits_alike(make, {"one": X, "two": Y}, compiling=compiling)


@pytest.mark.slow
def test_fine_tuning():
    """A second `compile` with another loss, and layers frozen in between."""
    found = []
    for base in (keras.Model, TrainStepModel):
        model = functional(base)
        first = fitted(model, compiling=compiling)
        for layer in model.layers[:2]:
            layer.trainable = False
        found.append([first, fitted(model, compiling=functools.partial(compiling, loss="mae"))])
    assert_same(found[1], found[0])
    before, after = (run["weights"][0] for run in found[1])
    np.testing.assert_array_equal(before, after)


def test_a_model_without_trainable_weights():
    """As a feature extractor is. Keras 2 does not warn."""
    found = []
    for base in (keras.Model, TrainStepModel):
        model = functional(base)
        model.trainable = False
        if base is keras.Model and not KERAS3:
            found.append(fitted(model, compiling=compiling))
        else:
            with pytest.warns(UserWarning, match="trainable weights"):
                found.append(fitted(model, compiling=compiling))
    assert_same(found[1], found[0])
