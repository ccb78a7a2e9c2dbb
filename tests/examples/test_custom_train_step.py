"""The example of an algorithm of one's own, beside a naive one."""

import pytest

from tfk_patterns.parity import ModelCase, check_model

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("custom_train_step")]


@pytest.fixture(scope="module")
def example(example):
    """One seed."""
    example.SEEDS = (0,)
    return example


def test_the_right_one_does_what_is_computed_by_hand(figures):
    for name, (_, right, truth) in figures["measured"].items():
        assert right == pytest.approx(truth, rel=1e-4, abs=1e-6), name


def test_the_naive_one_is_wrong_in_each_way(figures):
    assert len(figures["measured"]) == 6
    for name, (naive, _, truth) in figures["measured"].items():
        assert isinstance(naive, str) or abs(naive - truth) > 0.01, name
    naive, _, truth = figures["measured"]["length of a step on two replicas"]
    assert naive == pytest.approx(2 * truth, rel=1e-4)


def test_only_the_right_one_withstands_the_attack(example, figures):
    attacked = {
        name: values[example.ATTACKS.index(0.1)] for name, values in figures["attacked"].items()
    }
    assert attacked["Adversarial"] > attacked["Plain"] + 0.15
    assert attacked["Adversarial"] > attacked["Naive"] + 0.15
    assert all(values[0] > 0.95 for values in figures["attacked"].values())


def test_it_passes_the_checks_of_a_model(example):
    digits = example.load_digits()
    images, labels = digits.data[:32].astype("float32") / 16, digits.target[:32]

    def make():
        return example.make_model(example.Adversarial, penalty=1e-3, metrics=["accuracy"])

    report = check_model(ModelCase(make, images, labels), on_fail="report")
    assert report.passed, str(report)


def test_it_writes_its_picture(figures, output):
    assert {path.name for path in output.iterdir()} == {"custom_train_step.png"}
