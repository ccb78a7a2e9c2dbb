"""Every example in a docstring runs, and everything public is documented."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import tfk_patterns
from tfk_patterns import layers, models, parity, training

MODULES = [
    module.name
    for module in pkgutil.walk_packages(tfk_patterns.__path__, "tfk_patterns.")
    if not module.name.startswith("tfk_patterns._keras.keras")  # only one twin can be imported
]
PUBLIC = {
    name: thing
    for package in (layers, models, parity, training)
    for name, thing in vars(package).items()
    if not name.startswith("_") and not inspect.ismodule(thing)
}


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_public_is_documented(name):
    docstring = inspect.getdoc(PUBLIC[name])
    assert docstring
    assert docstring.splitlines()[0].endswith(".")
    is_error = inspect.isclass(PUBLIC[name]) and issubclass(PUBLIC[name], Exception)
    assert is_error or inspect.signature(PUBLIC[name]).parameters == {} or "Args:" in docstring


LAYER_SECTIONS = ("Args:", "Call arguments:", "Input shape:", "Output shape:", "Raises:")
FUNCTION_SECTIONS = ("Args:", "Returns:", "Raises:")


@pytest.mark.parametrize(
    "name", [n for n in PUBLIC if hasattr(layers, n) and n != "MetricTracking"]
)
def test_layers_say_what_a_user_must_know(name):
    docstring = inspect.getdoc(PUBLIC[name])
    for section in LAYER_SECTIONS if inspect.isclass(PUBLIC[name]) else FUNCTION_SECTIONS:
        assert section in docstring, f"{name} lacks {section}"
    assert ">>> " in docstring
    assert "mask" in docstring.lower()


@pytest.mark.parametrize("name", [name for name in PUBLIC if hasattr(models, name)])
def test_models_say_what_a_user_must_know(name):
    docstring = inspect.getdoc(PUBLIC[name])
    for section in ("Args:", "Raises:", "Example:"):
        assert section in docstring, f"{name} lacks {section}"
    assert ">>> " in docstring
    own = {n: v for n, v in vars(PUBLIC[name]).items() if inspect.isfunction(v)}
    for method in (n for n in own if not n.startswith("_")):
        assert inspect.getdoc(getattr(PUBLIC[name], method)), f"{name}.{method}"
