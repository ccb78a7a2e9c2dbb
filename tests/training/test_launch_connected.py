"""The supervisor and TensorFlow together: killed in training, restarted, connected again."""

import sys

import pytest

from tfk_patterns.training.launch import launch

SCRIPT = """
import json, os, pathlib, signal, sys
from tfk_patterns.training.connecting import connect_workers

strategy = connect_workers(60)
import tensorflow as tf

index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
folder = pathlib.Path(sys.argv[1])
saved = folder / f"worker-{index}"  # its own, as each worker's checkpoints are
state = json.loads(saved.read_text()) if saved.exists() else {"step": 0, "sum": 0.0}

@tf.function
def total(x):
    context = tf.distribute.get_replica_context
    return strategy.run(lambda x: context().all_reduce("sum", x + 0.0), args=(x,))

for step in range(state["step"], 6):
    if step == 3 and index == 1 and not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    state = {"step": step + 1, "sum": state["sum"] + float(total(tf.constant(1.0 + index)))}
    saved.write_text(json.dumps(state))
"""


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_killed_in_training_all_are_restarted_and_go_on(tmp_path, capfd):
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    command = [sys.executable, str(path), str(tmp_path)]
    assert launch(command, 2, max_restarts=1, log_dir=str(tmp_path)) == 0
    for index in range(2):
        assert (tmp_path / f"worker-{index}").read_text() == '{"step": 6, "sum": 18.0}'
    assert "launch: worker 1 was ended by SIGKILL after" in capfd.readouterr().err
