"""Each broken model fails its own check, with its own message, and no other."""

import collections

import pytest

from tests.parity import broken_models
from tfk_patterns.parity import check_model, list_checks

BROKEN = broken_models.found_here()
MODEL_CHECKS = list_checks("model")
each_broken_model = pytest.mark.parametrize("found", BROKEN, ids=lambda found: found.case.name)
FIRST = {found.check: found for found in reversed(BROKEN)}.values()


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(found, id=found.case.name, marks=[pytest.mark.slow] * (found not in FIRST))
        for found in BROKEN
    ],
)
def test_its_own_check_catches_it(found):
    own = found.check if found.check in MODEL_CHECKS else "custom_layers"
    report = check_model(found.case, checks=[own], on_fail="report")
    assert [failure.check for failure in report.failures] == [found.check], str(report)
    assert found.message in report.failures[0].message
    assert report.failures[0].hint


@pytest.mark.slow
@each_broken_model
def test_no_other_check_blames_it(found):
    report = check_model(found.case, on_fail="report")
    assert [failure.check for failure in report.failures] == [found.check], str(report)


def test_every_check_has_two_broken_models():
    own = (f.check if f.check in MODEL_CHECKS else "custom_layers" for f in BROKEN)
    counts = collections.Counter(own)
    # `train_on_batch` hands a None on only on Keras 3.
    few = {name for name in MODEL_CHECKS if counts[name] < 2}
    assert few <= {"batch_methods", "logged_loss"}
