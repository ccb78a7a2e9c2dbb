"""Every public layer does the same in every mode."""

import pytest

from tests.layers.cases import CASES, MeanSquare
from tfk_patterns import layers
from tfk_patterns.parity import parametrize_checks

PUBLIC = [cls for cls in vars(layers).values() if isinstance(cls, type)]


@parametrize_checks(CASES)
def test_layers_do_the_same_in_every_mode(case, check):
    check(case)


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_every_public_layer_has_cases_with_default_and_other_arguments(cls):
    # A base is covered by a class that adds nothing but the method that it asks for.
    cls = MeanSquare if cls is layers.BaseActivityRegularization else cls
    made = [layer for layer in (case.make() for case in CASES) if type(layer) is cls]
    arguments = [own_config(layer) for layer in made]
    assert len(arguments) >= 2
    assert own_config(cls()) in arguments
    assert any(config != own_config(cls()) for config in arguments)


def own_config(layer):
    config = layer.get_config()
    return {key: config[key] for key in config.keys() - {"name", "dtype"}}
