"""Whose a folder of checkpoints is."""

import pytest

from tests.training.resuming import killed, network, train
from tfk_patterns.training._checkpoint_files import CheckpointFiles


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
    with pytest.raises(ValueError, match="of 2 workers, where there are 1"):
        train(network(), tmp_path)


@pytest.mark.parametrize("folder", ["", "gs://bucket/run"])
def test_a_place_that_is_no_folder_is_refused(folder):
    with pytest.raises(ValueError, match="`checkpoint_dir` must be a folder"):
        train(network(), folder)
