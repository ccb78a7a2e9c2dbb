"""Each broken layer fails its own check, with its own message, and no other."""

import pkgutil
from importlib import import_module

import pytest

from tests.parity import broken
from tfk_patterns.parity import check_layer, list_checks

BROKEN = [
    found
    for module in pkgutil.iter_modules(broken.__path__)
    for found in import_module(f"{broken.__name__}.{module.name}").BROKEN
]


@pytest.mark.parametrize("found", BROKEN, ids=lambda found: found.case.name)
def test_only_its_own_check_catches_it(found):
    report = check_layer(found.case, on_fail="report")
    assert [failure.check for failure in report.failures] == [found.check], str(report)
    assert found.message in report.failures[0].message
    assert report.failures[0].hint


def test_every_check_has_a_broken_layer():
    assert {found.check for found in BROKEN} == set(list_checks())
