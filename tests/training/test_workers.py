"""Two worker processes train as one device does, on the same batches."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.training import worker

ROOT = Path(__file__).parents[2]
CLOSE = {"rtol": 1e-5, "atol": 2e-6}  # sums over samples in another order, in float32
TIMEOUT = 240
REST = [case for case in worker.CASES if case != "plain"]


def free_ports():
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def run_workers(folder, cases, replicas=1):
    """What each of two workers printed."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports()]
    processes = []
    for index in range(2):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {
            **os.environ,
            "TF_CONFIG": json.dumps(config),
            "LOCAL_REPLICAS": str(replicas),
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "tests.training.worker", str(folder / "out"), *cases]
        with open(folder / f"log-{index}", "w") as log:
            processes.append(
                subprocess.Popen(
                    command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT
                )
            )
    try:
        codes = [process.wait(TIMEOUT) for process in processes]
    finally:
        for process in processes:
            process.kill()
    printed = [(folder / f"log-{index}").read_text() for index in range(2)]
    assert codes == [0, 0], printed[0][-3000:] + printed[1][-3000:]
    return printed


def assert_equals_one_device(folder, case):
    first, second = (dict(np.load(folder / f"out-{index}-{case}.npz")) for index in range(2))
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)
    if case == "stopped":
        assert len(first["history loss"]) == 1
        return
    expected = worker.run(case, tf.distribute.get_strategy())
    assert first.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(first[name], values, **CLOSE, err_msg=name)


@pytest.mark.timeout(TIMEOUT + 60)
def test_two_workers(tmp_path):
    """The first shows what goes on; each has the same history and weights as one device."""
    first, second = run_workers(tmp_path, ["plain"])
    assert_equals_one_device(tmp_path, "plain")
    assert first.count("Epoch 1/2") == 1
    assert "Epoch" not in second


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    run_workers(folder, REST)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT + 60)
@pytest.mark.parametrize("case", REST)
def test_cases(case, cases):
    assert_equals_one_device(cases, case)


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT + 60)
def test_two_replicas_on_each_worker(tmp_path):
    names = ["plain", "one_sample"]
    run_workers(tmp_path, names, replicas=2)
    for case in names:
        assert_equals_one_device(tmp_path, case)
