"""Each broken layer fails its own check, with its own message, and no other."""

import collections

import pytest

from tests.parity import broken
from tfk_patterns.parity import check_layer, list_checks

BROKEN = broken.found_here()
each_broken_layer = pytest.mark.parametrize("found", BROKEN, ids=lambda found: found.case.name)


@each_broken_layer
def test_its_own_check_catches_it(found):
    (result,) = check_layer(found.case, checks=[found.check], on_fail="report").results
    assert result.verdict == "failed", result
    assert found.message in result.message
    assert result.hint


@pytest.mark.slow
@each_broken_layer
def test_no_other_check_blames_it(found):
    report = check_layer(found.case, on_fail="report")
    assert [failure.check for failure in report.failures] == [found.check], str(report)


def test_every_check_has_two_broken_layers():
    counts = collections.Counter(found.check for found in BROKEN)
    assert {name for name in list_checks() if counts[name] < 2} == set()
    assert counts.keys() <= set(list_checks())


def test_their_names_differ():
    names = [found.case.name for found in BROKEN]
    assert len(set(names)) == len(names)
