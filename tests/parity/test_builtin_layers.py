"""Every built-in Keras layer that takes tensors, through every check.

What fails here is a fault of Keras, under its heading in docs/findings.md.
"""

import dataclasses
from pathlib import Path

import pytest
from tensorflow import keras

from tests.parity.builtin_cases import CASES, FAST, LEFT_OUT
from tests.parity.builtin_findings import FINDINGS
from tfk_patterns.parity import check_layer

DOCUMENT = Path(__file__).parents[2] / "docs" / "findings.md"
KNOWN = {case.name: FINDINGS.get(case.name, {}) for case in CASES}


def with_findings(case):
    return dataclasses.replace(case, expected_failures=KNOWN[case.name])


@pytest.mark.parametrize("case", [c for c in CASES if c.name in FAST], ids=lambda case: case.name)
def test_fast_checks_blame_no_layer(case):
    check_layer(with_findings(case), checks="fast")


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_checks_blame_no_layer(case):
    check_layer(with_findings(case))


def test_every_layer_of_keras_has_a_case():
    layers = {
        name: cls
        for name, cls in vars(keras.layers).items()
        if isinstance(cls, type) and issubclass(cls, keras.layers.Layer)
    }
    made = {type(case.make()) for case in CASES}
    missing = {name for name, cls in layers.items() if cls not in made} - LEFT_OUT.keys()
    assert missing == set()


@pytest.mark.parametrize("heading", sorted({h for f in FINDINGS.values() for h in f.values()}))
def test_every_finding_is_documented(heading):
    assert f"\n## {heading}\n" in DOCUMENT.read_text(encoding="utf-8")
