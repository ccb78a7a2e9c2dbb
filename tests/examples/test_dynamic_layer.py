"""The example whose loss calls SciPy in the middle of the graph."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfk_patterns.parity import LayerCase, check_layer

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dynamic_layer")]


@pytest.fixture(scope="module", autouse=True)
def _rewrites_again():
    yield
    rewrites = {"arithmetic_optimization": True, "constant_folding": True}
    tf.config.optimizer.set_experimental_options(rewrites)  # as they are by default


@pytest.fixture(scope="module")
def logits_and_digits():
    random = np.random.default_rng(0)
    return [
        random.normal(size=(8, 3, 10)).astype("float32"),
        random.integers(10, size=(8, 3)).astype("int32"),
    ]


def test_the_loss_is_the_least_of_all_orders(example, logits_and_digits):
    logits, digits = logits_and_digits
    exponentials = np.exp(logits.astype("float64"))
    losses = -np.log(exponentials / exponentials.sum(axis=2, keepdims=True))
    wanted = [
        min(
            np.mean([loss[slot, digit] for slot, digit in enumerate(order)])
            for order in itertools.permutations(three)
        )
        for loss, three in zip(losses, digits, strict=True)
    ]
    found = example.MatchedLoss()([tf.constant(logits), tf.constant(digits)])
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_the_layer_is_the_same_in_every_mode(example, logits_and_digits):
    case = LayerCase(lambda: example.MatchedLoss(dynamic="island"), logits_and_digits)
    report = check_layer(case)
    passed = {result.check for result in report.results if result.verdict == "passed"}
    assert {"outputs", "losses", "gradients", "finite_differences", "fit", "batch_sizes"} <= passed


def test_no_scan_is_in_training_and_test(example):
    canvases, _, test_canvases, _ = example.load()
    scans = {(16 * scan).tobytes() for scan in example.load_digits().images.astype("float32") / 16}
    train, test = (
        {window.tobytes() for window in _windows(16 * part)} & scans
        for part in (canvases, test_canvases)
    )
    assert len(train) > 1400
    assert len(test) > 350
    assert not train & test


def _windows(canvases):
    windows = np.lib.stride_tricks.sliding_window_view(canvases[..., 0], (8, 8), axis=(1, 2))
    return windows.reshape(-1, 8, 8)


def test_the_matched_slots_read_the_set(example, figures):
    right = figures["right"]
    assert right[example.MATCHED]["by slot"] > 0.4
    assert right[example.MATCHED]["by slot"] > right[example.SHUFFLED]["by slot"] + 0.25
    assert right[example.SHUFFLED]["by slot"] > figures["most_frequent"]


def test_sorted_digits_do_about_as_well(example, figures):
    right = figures["right"]
    assert abs(right[example.SORTED]["by slot"] - right[example.MATCHED]["by slot"]) < 0.15


def test_shuffled_digits_are_read_as_counts(example, figures):
    shuffled = figures["right"][example.SHUFFLED]
    assert shuffled["by count"] > shuffled["by slot"] + 0.25
    assert min(figures["losses"][example.SHUFFLED]) > figures["least"]


def test_graph_and_eager_training_are_equal(example, figures):
    assert len(figures["losses"]["run_eagerly"]) == example.EAGER_EPOCHS
    assert figures["difference"] < 1e-6


def test_it_writes_its_picture(figures, output):
    assert {path.name for path in output.iterdir()} == {"dynamic_layer.png"}
