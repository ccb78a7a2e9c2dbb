"""The custom layers in a model."""

import dataclasses

from tfk_patterns.parity.check import Verdicts, define_check
from tfk_patterns.parity.checks import LAYER_CHECKS
from tfk_patterns.parity.custom_layers import expected_of_no_layer, layer_cases
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.result import Result
from tfk_patterns.parity.subject import Subject


@define_check(
    link="https://www.tensorflow.org/guide/keras/making_new_layers_and_models_via_subclassing",
)
def custom_layers(subject):
    """Each layer of a class that is not Keras' own passes the checks of a layer.

    The report names the layer and the check that it fails.

    Bug: A model trains around the fault of a layer and is only a little worse. Here a softmax
    runs over the samples, not over the features: a prediction changes with the batch it is in
    (https://github.com/google-research-datasets/answer-equivalence-dataset/issues/1).

    Broken::

        class Gate(keras.layers.Layer):
            def call(self, inputs):
                return inputs * tf.nn.softmax(inputs, axis=0)


        def make():
            model = keras.Sequential([keras.Input((4,)), Gate(), keras.layers.Dense(1)])
            model.compile("sgd", "mse")
            return model


        case = ModelCase(make, x, y)

    Mended::

        class Gate(keras.layers.Layer):
            def call(self, inputs):
                return inputs * tf.nn.softmax(inputs, axis=-1)


        def make():
            model = keras.Sequential([keras.Input((4,)), Gate(), keras.layers.Dense(1)])
            model.compile("sgd", "mse")
            return model


        case = ModelCase(make, x, y)
    """
    unknown = expected_of_no_layer(subject)
    if unknown:
        raise Failure(
            f"the model has no layer {unknown[0]!r}, of which the case expects a failure",
            hint="Name the layer as the report does, or its class: '<layer>: <check>'.",
        )
    found = _found(subject)
    if found is None:
        raise Skip("the model calls no layer of a class that is not Keras' own")
    for result in found:
        if result.verdict == "xfail":
            subject.tally.left_out[result.label] = f"expected to fail: {result.reason}"
        elif result.failure is None:  # passed, against expectation
            raise Failure(f"{result.label}: {result.reason}")
        else:
            failure = result.failure
            raise Failure(
                f"{result.label}: {failure.message}",
                failure.where,
                failure.hint,
                failure.max_abs_error,
                failure.max_rel_error,
            )


def with_those_on_layers(subject, results: list[Result]) -> list[Result]:
    """The results on a model, those on its layers first: what fails there, expected or not.

    They stand in the place of a failed `custom_layers`.
    """
    if not any(
        r.check == custom_layers.name and r.verdict in ("passed", "failed") for r in results
    ):
        return results
    found = _found(subject) or []
    is_said = any(result.verdict in ("failed", "xpass") for result in found)
    is_said &= not expected_of_no_layer(subject)
    return [*found, *(r for r in results if not (is_said and r.check == custom_layers.name))]


def _found(subject) -> list[Result] | None:
    return subject.shared("custom layers", lambda: _not_passed(subject))


def _not_passed(subject) -> list[Result] | None:
    """What the layers of the model fail, or `None` where there are no such layers."""
    cases = layer_cases(subject)
    if not cases:
        return None
    found = [
        dataclasses.replace(result, layer=case.name)
        for case in cases
        for result in Verdicts(Subject(case), LAYER_CHECKS).values()
        if result.verdict in ("failed", "xfail", "xpass")
    ]
    # What is expected of a class need not come from each layer of it.
    known = {(result.check, result.reason) for result in found if result.verdict == "xfail"}
    return [
        result
        for result in found
        if result.verdict != "xpass" or (result.check, result.reason) not in known
    ]
