"""Running the checks: verdicts, refusals, and what the harness leaves as it was."""

import json
import random

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.parity.broken.eager_only import ReadsValues
from tests.parity.broken.outputs import ClipsWhileDebugging
from tests.parity.broken.python_state import AnnealedScale, LateScale
from tfk_patterns import _keras
from tfk_patterns.parity import LayerCase, ParityError, check_layer, list_checks
from tfk_patterns.parity.subject import Subject

INPUTS = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")


def verdicts(case, **kwargs):
    return {r.check: r.verdict for r in check_layer(case, on_fail="report", **kwargs).results}


class ScaledRows(keras.layers.Layer):
    """Two inputs, a batched and a fixed keyword argument, two outputs."""

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(3, 2), initializer="glorot_uniform")
        self.built = True

    def call(self, inputs, scale=None, power=1):
        rows = tf.matmul(inputs["rows"], tf.convert_to_tensor(self.kernel))
        return [rows * scale**power, {"ids": inputs["ids"] + 1}]


class ValidRows(keras.layers.Layer):
    """Takes the mask of one of its inputs."""

    def call(self, inputs, mask=None):
        return inputs["rows"] * tf.cast(mask["rows"], inputs["rows"].dtype)[:, tf.newaxis]


class Rectified(keras.layers.Layer):
    def call(self, inputs):
        if tf.reduce_mean(inputs) > 0:
            return inputs
        return -inputs


class GlobalNoise(keras.layers.Layer):
    def call(self, inputs, training=None):
        return inputs + tf.random.normal(tf.shape(inputs)) if training else inputs


class AnnealedGlobalNoise(GlobalNoise):
    calls = 0

    def call(self, inputs, training=None):
        self.calls += 1
        return super().call(inputs, training=training) / self.calls


_the_only_one = keras.layers.ReLU()


def _always_the_same():
    return _the_only_one


class GivesItsLastInput(keras.layers.Layer):
    """With the same data in every call it could not be told from the identity."""

    last = None

    def call(self, inputs):
        outputs = inputs if self.last is None else self.last
        self.last = inputs
        return outputs


class FailsInTraining(keras.layers.Layer):
    def call(self, inputs, training=None):
        if training:
            raise RuntimeError("no such thing")
        return inputs


class CannotBeCalled(keras.layers.Layer):
    def call(self, inputs):
        raise RuntimeError("no such thing")


def test_a_right_layer_passes_every_check_that_applies():
    case = LayerCase(lambda: keras.layers.Dense(2, activity_regularizer="l2"), INPUTS)
    report = check_layer(case)
    assert report.passed
    assert {r.check: r.verdict for r in report.results}.items() >= {
        "outputs": "passed",
        "masks": "skipped",
        "losses": "passed",
        "metrics": "skipped",
        "variables": "passed",
        "gradients": "passed",
        "fit": "passed",
    }.items()
    assert {r.check: r.reason for r in report.results if r.verdict == "skipped"}.items() >= {
        "masks": "no output carries a mask",
        "metrics": "the layer has no metrics",
    }.items()


def test_structured_inputs_and_keyword_arguments():
    case = LayerCase(
        ScaledRows,
        {"rows": INPUTS, "ids": np.arange(4, dtype="int32")},
        call_kwargs={"scale": np.ones((4, 1), "float32") * 2, "power": 2},
    )
    report = check_layer(case)
    gradients = next(r for r in report.results if r.check == "gradients")
    assert gradients.verdict == "passed"
    assert gradients.max_abs_error is not None


def test_the_mask_of_one_of_two_inputs_reaches_the_layer():
    case = LayerCase(
        ValidRows,
        {"rows": INPUTS, "ids": np.arange(4, dtype="int32")},
        mask={"rows": np.array([True, False, True, True]), "ids": None},
    )
    assert check_layer(case).passed
    outputs = Subject(case).observe("graph", False).calls[0]["outputs"]
    assert np.array_equal(outputs[1], np.zeros(3))
    assert np.array_equal(outputs[[0, 2, 3]], INPUTS[[0, 2, 3]])


def test_a_failure_raises_with_the_report_as_its_text():
    with pytest.raises(ParityError) as caught:
        check_layer(LayerCase(ClipsWhileDebugging, INPUTS))
    report = caught.value.report
    assert isinstance(caught.value, AssertionError)
    assert str(report) in str(caught.value)
    failure = report.failures[0]
    assert failure.check == "outputs"
    assert failure.max_abs_error > 0.1
    assert "tf.executing_eagerly()" in failure.hint
    assert "graph, training=False, call 1" in failure.where


def test_expected_failures_and_unexpected_passes():
    reason = "annealed on purpose"
    case = LayerCase(AnnealedScale, INPUTS, expected_failures={"python_state": reason})
    report = check_layer(case, checks=["python_state", "fit"])
    assert report.passed
    assert (report.results[0].verdict, report.results[0].reason) == ("xfail", reason)
    assert report.results[-1].reason == "follows from python_state"

    case = LayerCase(keras.layers.ReLU, INPUTS, expected_failures={"outputs": reason})
    with pytest.raises(ParityError, match="was expected to fail: annealed on purpose"):
        check_layer(case)


def test_what_a_layer_keeps_of_an_earlier_call_shows():
    assert verdicts(LayerCase(GivesItsLastInput, INPUTS), checks=["outputs"])["outputs"] == "failed"


def test_a_check_on_its_own_excuses_nothing():
    assert verdicts(LayerCase(AnnealedScale, INPUTS), checks=["fit"]) == {"fit": "failed"}
    assert verdicts(LayerCase(LateScale, INPUTS), checks=["fit"]) == {"fit": "failed"}
    some = verdicts(LayerCase(AnnealedScale, INPUTS), checks=["fit", "gradients"])
    assert some == {"gradients": "failed", "fit": "skipped"}


def test_what_fails_in_every_mode_is_not_blamed_on_the_graph():
    report = check_layer(LayerCase(FailsInTraining, INPUTS), on_fail="report")
    assert report.failures[0].message.startswith("eager mode raised")
    assert "no such thing" in report.failures[0].message


def test_a_layer_that_cannot_be_traced_gets_a_report():
    report = check_layer(LayerCase(ReadsValues, INPUTS), on_fail="report")
    assert [r.check for r in report.failures] == ["eager_only"]
    assert report.failures[0].message.startswith("`call` cannot be traced")
    assert "traceable" in report.failures[0].hint


def test_python_control_flow_is_judged_as_by_fit():
    report = check_layer(
        LayerCase(Rectified, INPUTS), checks=["eager_only", "outputs"], on_fail="report"
    )
    assert report.passed == _keras.AUTOGRAPH


def test_draws_from_the_global_state_are_not_passed_in_silence():
    (outputs,) = check_layer(LayerCase(GlobalNoise, INPUTS), checks=["outputs"]).results
    assert outputs.verdict == "skipped"
    assert outputs.reason.startswith("nothing compared with training=True: draws from TensorFlow")


def test_a_wrong_inference_fails_even_where_training_draws_from_the_global_state():
    case = LayerCase(AnnealedGlobalNoise, INPUTS)
    assert verdicts(case, checks=["outputs"]) == {"outputs": "failed"}
    assert verdicts(case)["python_state"] == "failed"


def test_a_layer_that_cannot_be_called_gets_a_report():
    report = check_layer(LayerCase(CannotBeCalled, INPUTS), on_fail="report")
    assert [r.check for r in report.failures] == ["outputs"]
    assert "no such thing" in report.failures[0].message
    assert "cannot be built and called" in str(report)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"case": keras.layers.ReLU}, TypeError, "`case` must be"),
        ({"checks": ["output"]}, ValueError, "`checks` must be one of 'eager_only',"),
        ({"checks": "outputs"}, TypeError, "`checks` must be a list"),
        ({"on_fail": "print"}, ValueError, "`on_fail` must be one of 'raise', 'report'"),
        (
            {"case": LayerCase(keras.layers.ReLU, INPUTS, expected_failures={"fits": "no"})},
            ValueError,
            "`expected_failures` must be one of",
        ),
        ({"checks": []}, ValueError, "`checks` must be at least one"),
        ({"case": LayerCase(_always_the_same, INPUTS)}, ValueError, "`make` must return a fresh"),
        ({"case": LayerCase(lambda: 3, INPUTS)}, TypeError, "`make` must return a tf.keras Layer"),
    ],
)
def test_bad_arguments(arguments, error, message):
    arguments = {"case": LayerCase(keras.layers.ReLU, INPUTS), **arguments}
    with pytest.raises(error) as caught:
        check_layer(**arguments)
    assert str(caught.value).startswith(message)
    assert "Received:" in str(caught.value)


def test_an_unknown_kind_of_checks_is_refused():
    assert list_checks("layer") == list_checks()
    with pytest.raises(ValueError, match="`kind` must be one of 'layer'"):
        list_checks("layers")


class SeedsEverything(keras.layers.Dropout):
    def __init__(self):
        keras.utils.set_random_seed(1)
        super().__init__(0.5)


def draws():
    """One number from each generator of the process, those of Keras and TensorFlow too."""
    layer = keras.layers.Dense(1)  # Keras 2 draws its seed from a generator of its own
    layer.build((None, 1))
    numbers = [layer.kernel, tf.random.normal((1,)), random.random(), np.random.random()]
    if _keras.GENERATION == 3:
        numbers.append(keras.random.normal((1,)))
    return [float(np.ravel(number)[0]) for number in numbers]


@pytest.mark.parametrize("layer", [lambda: keras.layers.Dropout(0.5), SeedsEverything, GlobalNoise])
def test_the_harness_leaves_everything_as_it_was(layer):
    inputs, mask = INPUTS.copy(), np.array([True, False, True, True])
    keras.utils.set_random_seed(7)
    expected = [draws(), draws()]
    keras.utils.set_random_seed(7)
    policy = keras.mixed_precision.global_policy().name
    found = [draws()]
    check_layer(LayerCase(layer, inputs, mask=mask), on_fail="report")
    found.append(draws())
    assert found == expected
    assert np.array_equal(inputs, INPUTS)
    assert mask.tolist() == [True, False, True, True]
    assert keras.mixed_precision.global_policy().name == policy
    assert tf.executing_eagerly()


def test_what_several_checks_come_upon_is_said_once():
    class Fails(keras.layers.Layer):
        def call(self, inputs):
            raise ValueError("two inputs, please")

    found = verdicts(LayerCase(Fails, INPUTS), checks="fast")
    assert [check for check, verdict in found.items() if verdict == "failed"] == ["wrapped_call"]


def test_a_tolerance_decides():
    class NearlySame(keras.layers.Layer):
        def call(self, inputs):
            return inputs + (0.0 if hasattr(inputs, "numpy") else 0.01)

    assert verdicts(LayerCase(NearlySame, INPUTS), checks=["outputs"]) == {"outputs": "failed"}
    case = LayerCase(NearlySame, INPUTS, tolerance=0.1)
    assert verdicts(case, checks=["outputs"]) == {"outputs": "passed"}


def test_a_report_is_plain_data_text_and_html():
    case = LayerCase(AnnealedScale, INPUTS)
    report = check_layer(case, checks=["outputs", "fit"], on_fail="report")
    data = json.loads(json.dumps(report.to_dict()))
    assert data["case"] == "AnnealedScale"
    assert not data["passed"]
    assert data["results"][0]["verdict"] == "failed"
    text = str(report)
    for word in ("outputs", "failed", "where", "fix", "https://"):
        assert word in text
    html = report._repr_html_()
    assert html.startswith("<pre")
    assert "AnnealedScale" in html
