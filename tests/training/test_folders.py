"""Whose a folder of checkpoints is."""

import pytest

from tests.training.resuming import killed, network, train
from tfk_patterns.training._checkpoint_files import CheckpointFiles
from tfk_patterns.training._checkpoints import _check_workers


def test_a_folder_is_one_runs_at_a_time(tmp_path):
    first = CheckpointFiles(tmp_path)
    with pytest.raises(RuntimeError, match="in use by a run"):
        CheckpointFiles(tmp_path)
    first.close()
    CheckpointFiles(tmp_path).close()


def test_a_run_that_failed_leaves_its_folder(tmp_path):
    killed(network, tmp_path)  # by an exception in a callback
    CheckpointFiles(tmp_path).close()


def test_checkpoints_of_several_workers_are_not_passed_over(tmp_path):
    (tmp_path / "worker-0").mkdir()
    (tmp_path / "worker-1").mkdir()
    with pytest.raises(ValueError, match="worker-0, where there is 1"):
        train(network(), tmp_path)


def test_the_folder_of_another_worker_may_be_there_before_ones_own(tmp_path):
    (tmp_path / "worker-1").mkdir()
    assert _check_workers(tmp_path, 2) is None
    with pytest.raises(ValueError, match="worker-1, where there is 1"):
        _check_workers(tmp_path, 1)
    (tmp_path / "worker-2").mkdir()
    with pytest.raises(ValueError, match="worker-2, where there are 2"):
        _check_workers(tmp_path, 2)


@pytest.mark.parametrize("folder", ["", "gs://bucket/run"])
def test_a_place_that_is_no_folder_is_refused(folder):
    with pytest.raises(ValueError, match="`checkpoint_dir` must be a folder"):
        train(network(), folder)
