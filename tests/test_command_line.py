"""`python -m tfk_patterns check`, as somebody with layers of their own calls it."""

import json
import pathlib
import subprocess
import sys

import jsonschema
import pytest

from tfk_patterns.__main__ import main

SCHEMA = json.loads(
    (pathlib.Path(__file__).parents[1] / "docs" / "report.schema.json").read_text("utf-8")
)
LAYERS = """
import numpy as np
from tensorflow import keras
from tfk_patterns.parity import LayerCase, ModelCase

DATA = np.ones((4, 3), "float32")

class Scaled(keras.layers.Layer):
    def __init__(self, factor=1.0, mode="plain", **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.mode = mode

    def call(self, inputs):
        return (inputs[0] + inputs[1] if self.mode == "sum" else inputs) * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor, "mode": self.mode}

class Annealed(keras.layers.Layer):
    calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs / self.calls

class MyModel(keras.Model):
    pass

def linear():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model

RIGHT = LayerCase(Scaled, DATA)
WRONG = LayerCase(Annealed, DATA)
MODEL = ModelCase(linear, DATA, DATA[:, :1])
ALL = [RIGHT, WRONG]
BOTH_KINDS = [RIGHT, MODEL]
MADE = Scaled()
MISTAKEN = LayerCase(Scaled, DATA, expected_failures={"output": "a typing error"})
NUMBER = 3
TWINS = [RIGHT, LayerCase(Scaled, DATA)]
MARKED = [RIGHT, ModelCase(linear, DATA, DATA[:, :1], name="m[/b]<i>")]
LATE = [RIGHT, LayerCase(lambda: 3, DATA, name="number")]
"""
CHECKS = ("--checks", "python_state,outputs")


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Calls the command in a folder with `LAYERS`; returns status, output and error."""
    for name in ("mine", "fails", "needs", "leaves", "wrong"):
        sys.modules.pop(name, None)
    (tmp_path / "mine.py").write_text(LAYERS, "utf-8")
    (tmp_path / "fails.py").write_text("NUMBER = 1\n1 / 0\n", "utf-8")
    (tmp_path / "needs.py").write_text("import not_installed\n", "utf-8")
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(0)\n", "utf-8")
    (tmp_path / "wrong.py").write_text("x = 1\ndef f(:\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def call(*words):
        try:
            status = main(["check", *words])
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()

    return call


def test_a_right_case_gives_0(check):
    status, output, error = check("mine:RIGHT", *CHECKS)
    assert (status, error) == (0, "")
    assert output.startswith("Scaled: 2 passed\n")


def test_a_wrong_case_gives_1_and_the_report(check):
    status, output, _ = check("mine:WRONG", *CHECKS)
    assert status == 1
    assert "python_state: `self.calls` is" in output
    assert "fix" in output


def test_a_list_is_checked_case_by_case(check):
    status, output, _ = check("mine:ALL", *CHECKS)
    assert status == 1
    assert "Scaled: 2 passed" in output
    assert "Annealed: 1 failed, 1 skipped" in output


def test_a_model_case_is_checked_as_a_model(check):
    status, output, _ = check("mine:MODEL", "--checks", "logged_loss")
    assert (status, output.splitlines()[0]) == (0, "linear: 1 passed")


def test_checks_go_to_the_cases_that_have_them(check):
    status, output, _ = check("mine:BOTH_KINDS", "--checks", "outputs")
    assert status == 0
    assert "Scaled: 1 passed" in output
    assert "linear: not checked, since none of these checks is for it" in output


@pytest.mark.parametrize(
    "words",
    [
        ("mine:Scaled", "factor=2.5", "--inputs", "4,3"),
        ("mine:Scaled", "--inputs", "4,3", "factor=2.5"),
        ("--inputs=4,3", "mine:Scaled"),
        ("mine:Scaled", "mode=sum", "--inputs", "4,3", "--inputs", "4,3"),
    ],
)
def test_a_layer_class_takes_its_arguments_and_shapes(check, words):
    status, output, error = check(*words, "--checks=outputs,config")
    assert (status, error) == (0, "")
    assert output.startswith("Scaled: 2 passed\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mine"], "expected package.module:NAME. Received: mine"),
        (["mine.py:RIGHT"], "expected a module, not a file: write mine:RIGHT"),
        (["./a/mine.py:RIGHT"], "expected a module, not a file: write a.mine:RIGHT"),
        (["../mine.py:RIGHT"], "expected a module, not a file: write package.module:RIGHT"),
        (["leaves:CASE"], "leaves cannot be imported: SystemExit: 0 ("),
        (["wrong:CASE"], "wrong cannot be imported: SyntaxError: invalid syntax ("),
        (["mine:TWINS"], "cases must have different names, which `name=` gives. Received: Scaled"),
        (["mine:Scaled", "factor=1", "factor=2", "--inputs", "4,3"], "factor is given twice"),
        (["mine:RIGHT", "--json", "a", "--html", "a"], "--json and --html must be two files."),
        (["mine:RIGHT", "--check", "outputs"], "there is no option --check"),
        (["nowhere:CASE"], "there is no module `nowhere` here or installed"),
        (["mine.inner:CASE"], "there is no module `mine.inner` here or installed"),
        (["mine:NOTHING"], "there is no `NOTHING` in mine"),
        (["needs:CASE"], "needs cannot be imported: ModuleNotFoundError: No module named"),
        (["fails:CASE"], "fails cannot be imported: ZeroDivisionError: division by zero ("),
        (["mine:NUMBER"], "mine:NUMBER must be a LayerCase, a ModelCase, a list of such"),
        (["mine:MADE"], "mine:MADE must be a LayerCase, a ModelCase, a list of such"),
        (["mine:MyModel"], "mine:MyModel is a model, which must be compiled: write a ModelCase"),
        (["mine:MISTAKEN"], "Scaled cannot be checked: `expected_failures` must be one of"),
        (["mine:Scaled"], "mine:Scaled is a layer class: give it inputs, as in --inputs 8,10,4"),
        (["mine:Scaled", "--inputs", "4,x"], "--inputs must be sizes with commas, as in 8,10,4."),
        (["mine:Scaled", "--inputs", "4,0"], "--inputs must be sizes with commas, as in 8,10,4."),
        (["mine:Scaled", "factor", "--inputs", "4,3"], "expected name=value for the constructor."),
        (["mine:Scaled", "no=1", "--inputs", "4,3"], "Scaled cannot be made with no=1: "),
        (["mine:RIGHT", "--inputs", "4,3"], "--inputs is for a layer class. Received: LayerCase("),
        (["mine:RIGHT", "factor=2"], "name=value is for a layer class. Received: LayerCase("),
        (["mine:RIGHT", "--checks", "output"], "there is no check output. There are: batch_"),
        (["mine:RIGHT", "--checks", ","], "no check is named. There are: batch_"),
        (["mine:RIGHT", "--html", "no/a.html"], "--html must be a file in a folder that is there"),
        (["mine:RIGHT", "--json", "."], "--json must be a file in a folder that is there"),
        (["mine:RIGHT", "--quick"], "there is no option --quick"),
        ([], "the following arguments are required: package.module:NAME"),
    ],
)
def test_bad_usage_gives_2_and_one_line(check, words, message):
    status, output, error = check(*words)
    assert (status, output) == (2, "")
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1


def test_the_json_is_as_its_schema_says(check, tmp_path):
    check("mine:ALL", *CHECKS, "--json", "reports.json")
    found = json.loads((tmp_path / "reports.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    assert [report["case"] for report in found["reports"]] == ["Scaled", "Annealed"]
    assert [result["verdict"] for result in found["reports"][1]["results"]] == ["failed", "skipped"]
    assert not found["passed"]


def test_the_page_has_the_failed_cases_first(check, tmp_path):
    check("mine:ALL", *CHECKS, "--html", "reports.html")
    page = (tmp_path / "reports.html").read_text("utf-8")
    assert "1 of 2 cases failed" in page
    assert page.index("Annealed: 1 failed") < page.index("Scaled: 2 passed")


def test_a_name_is_no_markup(check):
    status, output, _ = check("mine:MARKED", "--checks=outputs")
    assert status == 0
    assert "m[/b]<i>: not checked" in output


def test_what_was_found_before_a_case_that_cannot_be_checked_is_written(check, tmp_path):
    status, _, error = check("mine:LATE", *CHECKS, "--json", "reports.json")
    assert (status, error.splitlines()[0][:32]) == (2, "error: number cannot be checked:")
    found = json.loads((tmp_path / "reports.json").read_text("utf-8"))
    assert [report["case"] for report in found["reports"]] == ["Scaled"]
    assert not found["passed"]
    check("mine:LATE", *CHECKS, "--html", "reports.html")
    page = (tmp_path / "reports.html").read_text("utf-8")
    assert "Broken off after 1 passed, 0 failed" in page


def test_it_runs_as_a_program(check, tmp_path):
    command = [sys.executable, "-m", "tfk_patterns", "check", "mine:WRONG", "--checks=replicas"]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert finished.returncode in (0, 1), finished.stderr
    assert "one CPU device" not in finished.stdout
