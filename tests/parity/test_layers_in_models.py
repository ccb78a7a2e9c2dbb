"""The custom layers in a model: how what fails there is reported, and expected."""

import pytest
from tensorflow import keras

from tests.parity.broken_models import X, Y, compiled
from tests.parity.broken_models.custom_layers import Annealed, MeanOverBatch
from tfk_patterns.parity import ModelCase, check_model, parametrize_checks

EXPECTED = {
    "MeanOverBatch: batch_independence": "by the mean over the batch",
    "annealed: python_state": "for a reason",
}


def two_layers():
    inputs = keras.Input((4,))
    outputs = Annealed(name="annealed")(MeanOverBatch()(inputs))
    return compiled(keras.Model(inputs, keras.layers.Dense(1)(outputs)))


def case(**expected_failures):
    return ModelCase(two_layers, X, Y, expected_failures=expected_failures)


@pytest.mark.slow
def test_each_result_is_under_the_name_of_its_layer():
    report = check_model(case(), checks=["custom_layers"], on_fail="report")
    labels = [result.label for result in report.results]
    assert [label.split(": ")[1] for label in labels] == ["batch_independence", "python_state"]
    assert labels == ["mean_over_batch: batch_independence", "annealed: python_state"]


def test_what_is_expected_of_a_layer_is_named_by_its_name_or_class():
    report = check_model(case(**EXPECTED), checks=["custom_layers", "extra_losses"])
    verdicts = [(r.check, r.verdict) for r in report.results]
    assert verdicts[:3] == [
        ("batch_independence", "xfail"),
        ("python_state", "xfail"),
        ("custom_layers", "passed"),
    ]
    assert "by the mean over the batch" in report.results[2].reason


def test_expected_faults_of_layers_excuse_nothing_of_the_model():
    class CannotBeLoaded(keras.Sequential):
        @classmethod
        def from_config(cls, config, custom_objects=None):
            raise ValueError("not from this config")

    def make():
        layers = [keras.Input((4,)), Annealed(name="annealed"), keras.layers.Dense(1)]
        return compiled(CannotBeLoaded(layers))

    found = check_model(
        ModelCase(make, X, Y, expected_failures={"Annealed: python_state": "known"}),
        checks=["custom_layers", "resume"],
        on_fail="report",
    )
    assert [result.check for result in found.failures] == ["resume"]


def test_a_layer_that_passes_against_expectation_fails():
    expected = {**EXPECTED, "MeanOverBatch: outputs": "no more"}
    report = check_model(case(**expected), checks=["custom_layers"], on_fail="report")
    (result,) = report.failures
    assert (result.label, result.verdict) == ("mean_over_batch: outputs", "xpass")


@pytest.mark.slow
def test_a_name_that_no_layer_has_is_said():
    expected = {**EXPECTED, "annealled: python_state": "misspelt"}
    report = check_model(case(**expected), checks=["custom_layers"], on_fail="report")
    assert "the model has no layer 'annealled'" in report.failures[0].message


@pytest.mark.slow
def test_a_name_that_no_layer_has_is_said_beside_failures():
    expected = {"annealled: python_state": "misspelt"}
    report = check_model(case(**expected), checks=["custom_layers"], on_fail="report")
    assert [result.check for result in report.failures] == [
        "batch_independence",
        "python_state",
        "custom_layers",
    ]


@pytest.mark.slow
def test_layers_of_one_class_are_numbered_and_one_may_fail_for_all():
    def make():
        rows = keras.Input((4,))
        outputs = keras.layers.Dense(1)(Scaled(2.0)(Scaled(0.0)(rows)))
        return compiled(keras.Model(rows, outputs))

    def run(**expected):
        model = ModelCase(make, X, Y, expected_failures=expected)
        return check_model(model, checks=["custom_layers"], on_fail="report")

    assert [result.label for result in run().failures] == ["scaled (2): python_state"]
    assert run(**{"Scaled: python_state": "known"}).passed
    assert run(**{"scaled (2): python_state": "known"}).passed


class Scaled(keras.layers.Layer):
    """Counts its calls in Python, where it is given a factor."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.calls = 0

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}

    def call(self, inputs):
        if self.factor:
            self.calls += 1
        return inputs / (1.0 + self.calls * self.factor)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("annealed: fits", "`expected_failures` must be one of 'eager_only'"),
        ("python_state", "`expected_failures` must be one of 'custom_layers'"),
        ("custom_layers", "`expected_failures` must be '<layer>: <check>'"),
    ],
)
def test_bad_names(name, message):
    with pytest.raises(ValueError, match=message):
        check_model(case(**{name: "known"}))


@pytest.mark.slow
@parametrize_checks([case(**EXPECTED)], checks=["custom_layers"])
def test_in_pytest_too(case, check):
    check(case)
