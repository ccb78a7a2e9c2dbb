"""Every public layer does the same in every mode."""

import inspect

import pytest

from tests.layers.cases import CASES, QUICK, REST, Gate, MeanSquare
from tests.layers.dynamic_layers import Folded
from tfk_patterns import layers
from tfk_patterns.parity import parametrize_checks

# A base, and a mixin, is covered by a class that adds nothing but what it asks for.
STAND_INS = {
    layers.BaseActivityRegularization: MeanSquare,
    layers.DynamicLayer: Folded,
    layers.MetricTracking: Gate,
}
PUBLIC = [cls for cls in vars(layers).values() if isinstance(cls, type)]


@parametrize_checks(QUICK)
def test_layers_do_the_same_in_every_mode(case, check):
    check(case)


@pytest.mark.slow
@parametrize_checks(REST)
def test_layers_of_other_arguments_do_the_same_in_every_mode(case, check):
    check(case)


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_every_public_layer_has_cases_with_default_and_other_arguments(cls):
    cls = STAND_INS.get(cls, cls)
    made = [layer for layer in (case.make() for case in CASES) if type(layer) is cls]
    with_others = [own_config(layer) != own_config(with_defaults(layer)) for layer in made]
    assert len(made) >= 2
    assert not all(with_others)
    assert any(with_others) or not optional(cls)


def with_defaults(layer):
    """Such a layer with no more than the arguments that it asks for."""
    required = inspect.signature(type(layer)).parameters.keys() - {"kwargs"} - optional(type(layer))
    return type(layer)(**{name: layer.get_config()[name] for name in required})


def optional(cls):
    """The names of the arguments that have a default."""
    parameters = inspect.signature(cls).parameters.values()
    return {one.name for one in parameters if one.default is not one.empty}


def own_config(layer):
    config = layer.get_config()
    return {key: config[key] for key in config.keys() - {"name", "dtype"}}
