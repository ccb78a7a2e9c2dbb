"""The pytest plugin, in sessions of somebody else's."""

import json
import re

import pytest

pytest_plugins = ["pytester"]

CASES = """
import os
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
from tensorflow import keras
from tfk_patterns.parity import LayerCase, parametrize_checks

class Annealed(keras.layers.Layer):
    calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs / self.calls

DATA = np.ones((4, 3), "float32")
CASES = [LayerCase(lambda: keras.layers.Dense(2), DATA, name="right"), LayerCase(Annealed, DATA)]
"""
TESTS = """
CHECKS = ["python_state", "outputs", "masks", "fit"]

@parametrize_checks(CASES, checks=CHECKS)
def test_layers(case, check):
    check(case)
"""
ON_TWO_DEVICES = """
@parametrize_checks(CASES[:1], checks=["replicas"])
def test_layers(case, check):
    check(case)
"""


@pytest.fixture
def run(pytester):
    pytester.makepyfile(CASES + TESTS)
    return lambda *options: pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)


@pytest.fixture
def run_alone(pytester, monkeypatch):
    """In a process of its own, in which TensorFlow has not started."""
    monkeypatch.setenv("PYTHONPATH", str(pytester.path), prepend=":")

    def run(source, *options):
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)

    return run


def test_it_collects_tests_without_tensorflow(run_alone):
    source = """
        import sys

        def test_what_is_loaded():
            assert "tensorflow" not in sys.modules
            assert not [name for name in sys.modules if name.startswith("tfk_patterns")]
    """
    run_alone(source, "--strict-markers").assert_outcomes(passed=1)


def test_collecting_makes_no_layer(pytester):
    pytester.makepyfile(CASES.replace("Annealed, DATA", "fails, DATA") + TESTS, helper="")
    pytester.makeconftest(
        "import builtins\ndef fails(): raise RuntimeError\nbuiltins.fails = fails"
    )
    result = pytester.runpytest_inprocess("--collect-only", "-q")
    assert "test_layers[fails-outputs]" in result.stdout.str()
    assert result.ret == 0


def test_checks_can_be_chosen(run):
    result = run("--parity-checks=outputs, masks", "-v")
    result.assert_outcomes(passed=1, failed=1, skipped=2, deselected=4)
    result.stdout.fnmatch_lines(["*right-outputs* PASSED*"])


def test_the_fast_checks_can_be_chosen(run):
    run("--parity-checks=fast").assert_outcomes(passed=1, failed=1, deselected=6)


def test_other_tests_are_left_alone(run, pytester):
    pytester.makepyfile(test_other="def test_other(case=None): pass")
    run("--parity-checks=masks").assert_outcomes(passed=1, skipped=2, deselected=6)


@pytest.mark.parametrize("options", [(), ("-n1",)], ids=["alone", "xdist"])
def test_a_check_that_does_not_exist_is_an_error(run, options):
    result = run("--parity-checks=outputs,output", *options)
    assert result.ret != 0
    text = result.stdout.str() + result.stderr.str()
    assert "--parity-checks: there is no check output. There are: batch_independence, " in text


def test_what_does_not_run_excuses_nothing(run):
    assert "follows from python_state" in run("-k", "Annealed", "-rs").stdout.str()
    for option in ("--parity-checks=fit", "-kAnnealed-fit"):
        result = run(option, "-rA")
        assert "follows from" not in result.stdout.str()
        result.stdout.fnmatch_lines(["FAILED *test_layers[[]Annealed-fit[]]*"])


def test_its_tests_can_be_left_out(run):
    run("-m", "not parity", "--strict-markers").assert_outcomes(deselected=8)


def test_a_summary_names_what_failed(run):
    run().stdout.fnmatch_lines(
        [
            "*= parity =*",
            "2 cases, 8 checks: 3 passed, 4 skipped, 1 failed",
            "Annealed: python_state",
        ]
    )


def test_a_session_without_cases_has_no_summary(pytester):
    pytester.makepyfile("def test_nothing(): pass")
    assert "parity" not in pytester.runpytest_inprocess().stdout.str()


@pytest.mark.parametrize(
    "workers", [(), ("-n2", "--dist=loadgroup"), pytest.param(("-n2",), marks=pytest.mark.slow)]
)
def test_the_reports_are_written(run, pytester, workers):
    path = pytester.path / "reports" / "parity.json"
    run(f"--parity-report={path}", *workers).stdout.fnmatch_lines([f"written to {path}"])
    found = json.loads(path.read_text("utf-8"))
    verdicts = {
        report["case"]: {result["check"]: result["verdict"] for result in report["results"]}
        for report in found["reports"]
    }
    right = {"python_state": "passed", "outputs": "passed", "masks": "skipped", "fit": "passed"}
    assert verdicts["right"] == right
    assert verdicts["Annealed"]["python_state"] == "failed"


def test_the_report_can_be_a_page(run, pytester):
    run("--parity-report=parity.html")
    page = (pytester.path / "parity.html").read_text("utf-8")
    assert "1 of 2 cases failed" in page
    assert "self.calls" in page


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--parity-report=a.pdf", "--parity-report must be a .html or .json file. Received: a.pdf"),
        ("--parity-report=file/a.html", "--parity-report cannot be written: *"),
        ("--parity-report=folder.json", "--parity-report cannot be written: *"),
        ("--parity-checks=", "--parity-checks must be names of checks with commas, or fast"),
    ],
)
def test_wrong_options_are_errors_before_anything_runs(run, pytester, option, message):
    (pytester.path / "file").write_text("")
    (pytester.path / "folder.json").mkdir()
    result = run(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{message}"])


def _written(pytester):
    found = json.loads((pytester.path / "parity.json").read_text("utf-8"))
    return {
        report["case"]: {result["check"]: result for result in report["results"]}
        for report in found["reports"]
    }


def test_a_test_that_ends_without_a_verdict_is_in_the_report(pytester):
    source = """
import pytest

@pytest.fixture
def broken():
    raise OSError("no data")

@parametrize_checks(CASES[:1], checks=CHECKS)
def test_layers(case, check, request):
    if check.name == "outputs":
        request.getfixturevalue("broken")
    if check.name == "fit":
        pytest.skip("not today")
    if check.name != "masks":
        check(case)
"""
    pytester.makepyfile(CASES + TESTS.split("@")[0] + source)
    pytester.runpytest_inprocess("--parity-report=parity.json")
    found = _written(pytester)["right"]
    assert {name: result["verdict"] for name, result in found.items()} == {
        "python_state": "passed",
        "outputs": "failed",
        "masks": "skipped",
        "fit": "skipped",
    }
    assert found["outputs"]["message"] == "call of the test: OSError: no data"
    assert found["masks"]["reason"] == "the test did not call the check"
    assert found["fit"]["reason"] == "not today"


def test_a_test_that_fails_after_its_check_has_failed(pytester):
    source = """
@parametrize_checks(CASES[:1], checks=["outputs"])
def test_layers(case, check):
    check(case)
    assert case is None
"""
    pytester.makepyfile(CASES + source)
    pytester.runpytest_inprocess("--parity-report=parity.json")
    assert _written(pytester)["right"]["outputs"]["verdict"] == "failed"


def test_a_report_without_a_case_is_not_passed(run, pytester):
    run("--parity-report=parity.json", "-k", "nothing")
    assert json.loads((pytester.path / "parity.json").read_text("utf-8"))["passed"] is False
    run("--parity-report=parity.html", "-k", "nothing")
    assert "No case was checked" in (pytester.path / "parity.html").read_text("utf-8")


def test_a_failure_that_pytest_expects_is_expected_in_the_report(pytester):
    marked = TESTS.replace("def test", '@pytest.mark.xfail(reason="known")\ndef test')
    pytester.makepyfile("import pytest\n" + CASES + marked)
    pytester.runpytest_inprocess("--parity-report=parity.json")
    found = _written(pytester)["Annealed"]["python_state"]
    assert (found["verdict"], found["reason"]) == ("xfail", "known")


def test_what_depends_on_another_parameter_is_checked_for_each(pytester):
    source = """
import pytest

STATE = {}

def make():
    return Annealed() if STATE["broken"] else keras.layers.ReLU()

@pytest.fixture(params=[False, True])
def broken(request):
    STATE["broken"] = request.param

@parametrize_checks([LayerCase(make, DATA)], checks=CHECKS)
def test_layers(broken, case, check):
    check(case)
"""
    pytester.makepyfile(CASES + TESTS.split("@")[0] + source)
    result = pytester.runpytest_inprocess("--parity-report=parity.json")
    result.assert_outcomes(passed=3, failed=1, skipped=4)
    first, second = sorted(_written(pytester))
    assert first.endswith("::test_layers[broken 0]")
    assert second.endswith("::test_layers[broken 1]")


def test_the_marks_are_known_without_pytest_xdist(run):
    result = run("-p", "no:xdist", "--strict-markers", "--parity-checks=masks")
    result.assert_outcomes(skipped=2, deselected=6)


def test_all_that_a_check_finds_goes_from_process_to_process(pytester):
    source = """
@parametrize_checks(CASES[:1], checks=["low_precision", "finite_differences", "export"])
def test_layers(case, check):
    check(case)
"""
    pytester.makepyfile(CASES + source)
    result = pytester.runpytest_inprocess("-n1", "--parity-report=parity.json")
    result.assert_outcomes(passed=3)
    assert _written(pytester)["right"]["low_precision"]["max_abs_error"] >= 0.0


def test_it_makes_two_devices(run_alone):
    run_alone(CASES + ON_TWO_DEVICES, "-rs").assert_outcomes(passed=1)


def test_it_leaves_the_devices_of_other_sessions_alone(run_alone):
    source = """
        import tensorflow as tf

        def test_devices():
            assert len(tf.config.list_logical_devices("CPU")) == 1
    """
    run_alone(source).assert_outcomes(passed=1)


def test_a_marked_test_has_two_devices(run_alone):
    source = """
        import pytest

        @pytest.mark.parity
        def test_devices():
            import tensorflow as tf

            assert len(tf.config.list_logical_devices("CPU")) == 2
    """
    run_alone(source).assert_outcomes(passed=1)


def test_where_tensorflow_has_started_the_skip_says_what_to_do(run_alone):
    started = CASES + "import tensorflow as tf\ntf.constant(1.0)\n" + ON_TWO_DEVICES
    result = run_alone(started, "-rs")
    result.assert_outcomes(skipped=1)
    assert re.search(r"before it starts, call\s+tf.config.set_logical_device", result.stdout.str())
