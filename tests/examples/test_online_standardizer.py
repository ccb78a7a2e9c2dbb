"""The example of a stream that is standardised as it comes."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("online_standardizer")]


def test_standardising_makes_the_stream_learnable(example, figures):
    accuracy = figures["accuracy"]
    assert accuracy[example.RUNNING] >= 0.88
    assert accuracy[example.RUNNING] > accuracy[example.PLAIN] + 0.2
    assert accuracy[example.RUNNING] > figures["majority"] + 0.2


def test_it_is_nearly_as_good_as_having_seen_all_the_data(example, figures):
    assert figures["accuracy"][example.ADAPTED] - figures["accuracy"][example.RUNNING] < 0.08
    second_half = figures["second_half"]
    assert second_half[example.RUNNING] >= 0.95
    assert second_half[example.ADAPTED] - second_half[example.RUNNING] < 0.02


def test_its_statistics_end_as_those_of_the_data(figures):
    assert figures["count"] == 569
    assert figures["differences"]["mean"] < 1e-9
    assert figures["differences"]["variance"] < 1e-9


def test_it_writes_its_picture(figures, output):
    assert {path.name for path in output.iterdir()} == {"online_standardizer.png"}
