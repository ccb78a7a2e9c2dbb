"""A hint names what this library has for the fault it is about, once it has it."""

import importlib
import re

import pytest
from tensorflow import keras

import tfk_patterns

# What mends a fault, and the hints that must name it: `module:NAME` in `tfk_patterns.parity`.
MENDS = {
    "layers.MaskedPooling1D": (
        "masks.padding_effects:CONTENT",
        "masks.padding_effects:IGNORED",
        "masks.padding_effects:LENGTH",
        "checks.fully_masked:_HINT",
    ),
    "layers.DynamicLayer": ("subject:_TRACEABLE",),
    "layers.autograph_call": ("subject:_TRACEABLE", "checks.wrapped_call:_HINT"),
    "layers.MetricTracking": ("checks.metrics:_HINT", "checks.metric_names:_HINT"),
    "models.GradientAccumulationModel": ("checks.model.replicas:_COND_HINT",),
    "models.TrainStepModel": (
        "checks.model.compiled_metrics:_METRICS_HINT",
        "checks.model.logged_loss:_LOSS_HINT",
        "checks.model.loss_scaling:_SCALE_HINT",
        "checks.model.losses:_EXTRA_HINT",
        "checks.model.replicas:_HINT",
        "checks.model.sample_weights:_WEIGHT_HINT",
    ),
}


def _there(path):
    thing = tfk_patterns
    for part in path.split("."):
        thing = getattr(thing, part, None)
    return thing is not None


def test_the_weight_that_is_to_hold_what_changes_starts_at_zero():
    hint = importlib.import_module("tfk_patterns.parity.checks.python_state")._HINT
    (code,) = re.findall(r"self\.calls = (self\.add_weight\(.*?\))`", hint.format(name="calls"))
    layer = keras.layers.Layer()
    assert float(eval(code, {"self": layer})) == 0.0


@pytest.mark.parametrize(
    ("mend", "hint"), [(mend, hint) for mend, hints in MENDS.items() for hint in hints]
)
def test_a_hint_names_its_mend(mend, hint):
    module, name = hint.split(":")
    text = getattr(importlib.import_module(f"tfk_patterns.parity.{module}"), name)
    if not _there(mend):
        assert mend not in text
        pytest.skip(f"there is no tfk_patterns.{mend} yet")
    assert f"`tfk_patterns.{mend}`" in text
