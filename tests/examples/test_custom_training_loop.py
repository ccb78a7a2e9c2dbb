"""The example of the loop by hand, as one call, and killed on the way."""

import itertools
import signal

import pytest

pytestmark = pytest.mark.xdist_group("custom_training_loop")


@pytest.fixture(scope="module")
def example(example):
    """Four epochs."""
    example.EPOCHS = 4
    return example


def test_the_loop_by_hand_is_that_of_the_library_and_of_fit(example):
    found = []
    for way in (example.train_by_loop, example.train_by_hand, example.train_by_fit):
        model = example.make_model()
        found.append((way(model, 2), model.get_weights()))
    loop, by_hand, fit = found
    assert loop[0]["loss"][1] < loop[0]["loss"][0]
    assert example.difference(by_hand, loop) == (0, 0)
    assert example.difference(fit, loop) == (0, 0)


def test_two_replicas_do_what_one_does_up_to_rounding(example):
    assert 0 < max(example.difference(*example.train_on_two_replicas(1))) < 1e-5


@pytest.mark.slow
def test_a_kill_changes_nothing(figures):
    *killed, last = figures["runs"]
    assert len(killed) == 3
    assert all(run.status == -signal.SIGKILL for run in killed)
    assert last.status == 0
    assert figures["differences"]["killed"] == (0, 0)


@pytest.mark.slow
def test_each_process_goes_on_from_a_checkpoint(example, figures):
    runs = figures["runs"]
    assert runs[0].steps[0] == 1
    assert runs[-1].steps[-1] == example.EPOCHS * example.STEPS_PER_EPOCH
    for before, after in itertools.pairwise(runs):
        again = before.steps[-1] - after.steps[0] + 1
        assert 0 <= again <= example.SAVE_FREQ


@pytest.mark.slow
def test_it_writes_its_picture(figures, output):
    assert {path.name for path in output.iterdir()} == {"custom_training_loop.png"}
