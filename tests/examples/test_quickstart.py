"""The main example, as a user runs it."""

import shutil

import pytest
import tensorflow as tf

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("quickstart")]


@pytest.fixture(scope="module", autouse=True)
def _rewrites_again():
    yield
    rewrites = {"arithmetic_optimization": True, "constant_folding": True}
    tf.config.optimizer.set_experimental_options(rewrites)  # as they are by default


def test_it_reads_digits(figures):
    assert figures["accuracy"]["whole images"] >= 0.97
    assert figures["accuracy"]["cut images"] > figures["baseline"]["cut images"]


def test_both_modes_train_alike(figures):
    assert figures["largest"] == 0.0


def test_every_layer_of_the_library_passes_in_it(figures):
    assert len(figures["reports"]) == 5
    for report in figures["reports"]:
        assert report.passed, str(report)


def test_what_it_saves_predicts_the_same(figures):
    assert figures["reloaded_equal"]


def test_it_writes_its_pictures(figures, output):
    drawn = {path.name for path in output.iterdir()}
    wanted = {"digits.keras", "history.png"} | ({"model.png"} if shutil.which("dot") else set())
    assert drawn == wanted
