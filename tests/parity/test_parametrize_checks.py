"""`parametrize_checks` in a test file of somebody else's."""

import numpy as np
import pytest
from tensorflow import keras

from tfk_patterns.parity import LayerCase, parametrize_checks

pytest_plugins = ["pytester"]

TESTS = """
import numpy as np
from tensorflow import keras
from tfk_patterns.parity import LayerCase, parametrize_checks

class Annealed(keras.layers.Layer):
    calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs / self.calls

DATA = np.ones((2, 3), "float32")
CASES = [
    LayerCase(lambda: keras.layers.Dense(2), DATA, name="right"),
    LayerCase(Annealed, DATA, name="wrong"),
    LayerCase(Annealed, DATA, name="known", expected_failures={"python_state": "counts in Python"}),
]

@parametrize_checks(CASES, checks=["python_state", "outputs", "masks", "losses"])
def test_layers(case, check):
    check(case)
"""


@pytest.fixture
def run(pytester):
    pytester.makepyfile(TESTS)
    return lambda *options: pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)


def test_each_case_and_check_is_a_test_with_both_in_its_id(run):
    collected = [
        line.split("::")[1] for line in run("--collect-only", "-q").outlines if "::" in line
    ]
    assert collected == [
        f"test_layers[{case}-{check}]"
        for case in ("right", "wrong", "known")
        for check in ("python_state", "outputs", "masks", "losses")
    ]


def test_a_skip_says_why(run):
    result = run("-k", "right", "-rs")
    result.assert_outcomes(passed=2, skipped=2, deselected=8)
    result.stdout.fnmatch_lines(["SKIPPED*the layer adds no losses*"])


def test_a_failure_shows_the_report(run):
    result = run("-k", "wrong")
    result.assert_outcomes(failed=1, skipped=3, deselected=8)
    result.stdout.fnmatch_lines(["*python_state: `self.calls` is*"])


def test_an_expected_failure_is_an_xfail(run):
    result = run("-k", "known", "-rx")
    result.assert_outcomes(xfailed=1, skipped=3, deselected=8)
    result.stdout.fnmatch_lines(["XFAIL*counts in Python*"])


def test_two_cases_of_one_name_are_refused():
    case = LayerCase(keras.layers.ReLU, np.ones((2, 3)))
    with pytest.raises(
        ValueError, match=r"`cases` must be cases with different names, which `name=` gives"
    ):
        parametrize_checks([case, case])


def test_a_case_alone_is_no_list():
    with pytest.raises(TypeError, match=r"`cases` must be a list of cases\. Received"):
        parametrize_checks(LayerCase(keras.layers.ReLU, np.ones((2, 3))))
