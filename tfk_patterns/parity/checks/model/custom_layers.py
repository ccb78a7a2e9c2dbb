"""The custom layers in a model."""

import dataclasses

from tfk_patterns.parity.check import Verdicts, define_check
from tfk_patterns.parity.checks import LAYER_CHECKS
from tfk_patterns.parity.custom_layers import layer_cases
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.report import Result
from tfk_patterns.parity.subject import Subject


@define_check(
    link="https://www.tensorflow.org/guide/keras/making_new_layers_and_models_via_subclassing",
)
def custom_layers(subject):
    """Each layer of a class that is not Keras' own passes the checks of a layer."""
    failed = subject.shared("custom layers", lambda: _failed(subject))
    if failed is None:
        raise Skip("the model calls no layer of a class that is not Keras' own")
    if failed:
        failure = failed[0].failure
        raise Failure(
            f"layer `{failed[0].layer}`, {failed[0].check}: {failure.message}",
            failure.where,
            failure.hint,
            failure.max_abs_error,
            failure.max_rel_error,
        )


def failed_on_layers(subject, results: list[Result]) -> list[Result]:
    """The results on a model, with those on its layers in the place of a failed `custom_layers`."""
    if not any(r.check == custom_layers.name and r.verdict == "failed" for r in results):
        return results
    failed = subject.shared("custom layers", lambda: _failed(subject))
    return [*failed, *(r for r in results if r.check != custom_layers.name)]


def _failed(subject) -> list[Result] | None:
    """What the layers of the model fail, or `None` where there are no such layers."""
    cases = layer_cases(subject)
    if not cases:
        return None
    return [
        dataclasses.replace(result, layer=case.name)
        for case in cases
        for result in Verdicts(Subject(case), LAYER_CHECKS).values()
        if result.verdict == "failed"
    ]
