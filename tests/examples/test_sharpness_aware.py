"""The example of training on labels of which some are wrong."""

import numpy as np
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sharpness_aware")]


@pytest.fixture(scope="module")
def example(example):
    """Two seeds, and no `rho` to choose."""
    example.SEEDS, example.RHOS = (0, 1), (0.2,)
    return example


def test_a_fifth_of_the_labels_are_wrong_and_others_each_time(example):
    labels = np.arange(1000) % 10
    given, is_flipped = example.flip(labels, seed=0)
    assert is_flipped.sum() == 200
    np.testing.assert_array_equal(given != labels, is_flipped)
    assert given.min() == 0
    assert given.max() == 9
    assert (example.flip(labels, seed=1)[1] != is_flipped).any()


def test_no_image_is_in_two_parts(example):
    images = [image.tobytes() for part, _ in example.load().values() for image in part]
    assert len(set(images)) == len(images) == 1797


def test_sharpness_awareness_gets_more_right_and_learns_fewer_wrong_labels(example, figures):
    found = figures["found"]
    sharp, plain, longer = (
        {key: found[way][key][:, -1].mean() for key in ("test", "repeated")}
        for way in (example.SHARP, example.PLAIN, example.LONGER)
    )
    assert sharp["test"] > 0.95
    assert sharp["test"] > plain["test"] + 0.01 > longer["test"] + 0.02
    assert sharp["repeated"] < plain["repeated"] < longer["repeated"]
    assert longer["repeated"] > 0.8


def test_both_are_given_the_epochs_they_are_said_to_have(example, figures):
    epochs = {way: len(one["test"][0]) for way, one in figures["found"].items()}
    assert epochs == {example.PLAIN: 30, example.LONGER: 60, example.SHARP: 30}


def test_it_writes_its_picture(figures, output):
    assert {path.name for path in output.iterdir()} == {"sharpness_aware.png"}
