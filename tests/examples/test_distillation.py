"""The example of a student that learns from a teacher what nobody has labelled."""

import numpy as np
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("distillation")]


@pytest.fixture(scope="module")
def example(example):
    """Two seeds, and no temperature to choose."""
    example.SEEDS, example.TEMPERATURES = (0, 1), (1.0,)
    return example


def test_ten_of_each_digit_have_labels(example):
    _, labels = example.load()["train"]
    few = example.with_labels(labels, seed=0)
    assert len(set(few.tolist())) == 100
    np.testing.assert_array_equal(np.bincount(labels[few]), np.full(10, 10))
    assert set(few.tolist()) != set(example.with_labels(labels, seed=1).tolist())


def test_copies_are_shifted_by_a_pixel(example):
    image = np.zeros((1, 8, 8, 1), "float32")
    image[0, 3, 4] = 1
    copies, labels = example.shifted(image, np.array([7]))
    assert labels.tolist() == [7] * 9
    places = {tuple(np.argwhere(copy[..., 0])[0].tolist()) for copy in copies}
    assert places == {(row, column) for row in (2, 3, 4) for column in (3, 4, 5)}


def test_the_student_learns_from_images_without_a_label(example, figures):
    right = {way: np.mean(values) for way, values in figures["found"].items()}
    assert right[example.SOFT] > right[example.ALONE] + 0.015
    assert right[example.HARD] > right[example.ALONE] + 0.015
    assert right[example.TEACHER] > right[example.SOFT] > 0.88


def test_it_writes_its_picture(figures, output):
    assert {path.name for path in output.iterdir()} == {"distillation.png"}
