"""Every public model does the same in every mode."""

import numpy as np
import pytest
from tensorflow import keras

from tests.models.cases import CASES, QUICK, REST
from tests.models.networks import MODES
from tfk_patterns import _keras, models
from tfk_patterns.parity import parametrize_checks

IN_MODES = {"accumulating_functional"}
PUBLIC = [cls for cls in vars(models).values() if isinstance(cls, type)]


@parametrize_checks(QUICK)
def test_models_pass_all_checks(case, check):
    check(case)


@pytest.mark.slow
@parametrize_checks(REST)
def test_models_of_other_arguments_pass_all_checks(case, check):
    check(case)


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_every_public_model_has_cases_made_in_three_ways(cls):
    made = [model for model in (case.make() for case in CASES) if isinstance(model, cls)]
    ways = {
        "sequential"
        if isinstance(model, keras.Sequential)
        else "functional"
        if isinstance(model, _keras.functional_class())
        else "subclassed"
        for model in made
    }
    assert ways == {"sequential", "functional", "subclassed"}


EXACT = {"rtol": 0.0, "atol": 0.0}
ROUNDING = {"rtol": 1e-5, "atol": 2e-6}  # graphs and XLA fuse, and so round in other places
TO_THE_BIT = {"plain", "sharp", "accumulating", "distilled"}


@pytest.mark.parametrize("mode", ["eager", "xla"])
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=[pytest.mark.slow] * (case.name not in IN_MODES))
        for case in CASES
    ],
)
def test_every_mode_equals_the_graph(case, mode):
    """Dropout of this library draws the same in all of them."""
    history, weights = trained(case, "graph")
    other_history, other_weights = trained(case, mode)
    tolerance = EXACT if mode == "eager" and case.name in TO_THE_BIT else ROUNDING
    assert history.keys() == other_history.keys()
    for name, values in history.items():
        np.testing.assert_allclose(other_history[name], values, **tolerance, err_msg=name)
    for ours, theirs in zip(weights, other_weights, strict=True):
        np.testing.assert_allclose(theirs, ours, **tolerance)


def trained(case, mode):
    """The history, and the weights, after two epochs."""
    keras.utils.set_random_seed(0)
    model = case.make(**MODES[mode])
    model(case.x[:1])  # Keras 2 draws other initial values within a graph
    arguments = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0}
    if case.y is not None:  # without targets there is no loss to evaluate
        arguments["validation_data"] = case.x, case.y
    history = model.fit(case.x, case.y, **arguments).history
    return history, model.get_weights()
