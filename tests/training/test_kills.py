"""`kill -9` at random moments, and the same command again: as if nothing had been."""

import numpy as np
import pytest

from tests.training.kills import PHASES, assert_equal, finish, start, survive
from tests.training.networks import SETTINGS


def assert_survives(tmp_path, setting, phases, seed):
    """After kills in these phases a run ends as one that nobody killed, which runs beside it."""
    undisturbed = start(tmp_path / "undisturbed", setting)
    results, landed = survive(tmp_path / "killed", setting, phases, seed)
    assert_equal(results, finish(undisturbed, tmp_path / "undisturbed"))
    return landed


def test_a_run_killed_in_a_step_and_in_a_write_ends_as_one_that_was_not(tmp_path):
    landed = assert_survives(tmp_path, "steps", ["step", "writing"], seed=3)
    assert landed.total() == 2
    assert None not in landed


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_run_killed_in_every_phase_ends_as_one_that_was_not(setting, tmp_path):
    phases = np.random.default_rng(len(setting)).permutation(PHASES)
    landed = assert_survives(tmp_path, setting, phases, seed=len(setting))
    assert landed.total() == len(PHASES)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_has_ended_and_is_started_again_ends_the_same(tmp_path):
    first = finish(start(tmp_path, "steps"), tmp_path)
    (tmp_path / "result.npz").unlink()
    assert_equal(finish(start(tmp_path, "steps"), tmp_path), first)
