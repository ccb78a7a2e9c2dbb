"""The measuring of the benchmarks: intervals and verdicts; what is measured takes too long here."""

import math

import numpy as np
import pytest

from tests.loading import load

pairs = load("benchmarks/pairs.py")


def test_the_interval_of_21_values_is_from_the_6th_to_the_16th():
    assert pairs.interval(list(range(21, 0, -1))) == (6, 16)
    assert pairs.interval([1.0] * 5) is None


def test_the_interval_holds_the_median_in_95_percent_of_samples():
    samples = np.random.default_rng(0).lognormal(size=(2000, 21))
    intervals = np.array([pairs.interval(list(sample)) for sample in samples])
    assert np.mean((intervals[:, 0] <= 1) & (intervals[:, 1] >= 1)) > 0.95


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([0.9] * 21, "met"),
        ([1.0, 1.2] * 11, "met"),
        ([1.2] * 21, "missed"),
        ([1] * 4, "unresolved"),
    ],
)
def test_verdicts(ratios, verdict):
    found = pairs.Pairs(ratios, [1.0] * len(ratios))
    row = pairs.row("a row", found, target=1.05)
    assert row["verdict"] == verdict
    assert row["ratio"] == pytest.approx(np.median(ratios))


def test_a_geometric_mean_is_taken_pair_by_pair():
    rows = [pairs.Pairs([1.0, 4.0], [1.0, 1.0]), pairs.Pairs([4.0, 9.0], [1.0, 4.0])]
    assert pairs.geometric_mean(rows).ratios == [2.0, 3.0]


def test_a_function_of_twice_the_work_takes_longer():
    found = pairs.measure(lambda: math.factorial(4000) and None, lambda: None, 3, 0.001)
    assert len(found.ratios) == 3
    assert min(found.ratios) > 1
