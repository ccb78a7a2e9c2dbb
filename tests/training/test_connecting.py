"""Connecting, in processes of its own: TensorFlow can connect once in a process."""

import json
import os
import socket
import subprocess
import sys

import pytest
import tensorflow as tf

from tfk_patterns.training import _rendezvous
from tfk_patterns.training._cluster import Task, read
from tfk_patterns.training._worker_processes import free_ports
from tfk_patterns.training.connecting import connect_workers

ALL_REDUCE = """
from tfk_patterns.training.connecting import connect_workers
strategy = connect_workers({timeout})
import tensorflow as tf

@tf.function
def total(x):
    context = tf.distribute.get_replica_context
    return strategy.run(lambda x: context().all_reduce("sum", x + 1.0), args=(x,))

print(strategy.num_replicas_in_sync, float(total(tf.ones([]))))
"""
SEES_THE_PEER_AND_LEAVES = """
from tfk_patterns.training import _cluster, _rendezvous
_rendezvous.meet(*_cluster.read(None), {timeout})
"""
CLUSTER = {"worker": ["127.0.0.1:4001", "127.0.0.1:4002"]}
pytestmark = pytest.mark.timeout(150)


@pytest.fixture
def worker():
    """Starts a worker of a cluster of two; `ended()` of it waits and returns status and output."""
    started = []

    def start(ports, index, script=ALL_REDUCE, timeout=60.0):
        process = subprocess.Popen(
            [sys.executable, "-c", script.format(timeout=timeout)],
            env={**os.environ, "TF_CONFIG": tf_config(ports, index)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=20)


def tf_config(ports, index):
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    return json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})


@pytest.mark.slow
def test_two_workers_connect_and_reduce_and_one_alone_does_too(worker):
    ports = free_ports(2)
    both = [worker(ports, index) for index in range(2)]
    for process in both:
        output, error = process.communicate(timeout=100)
        assert (process.returncode, output) == (0, "2 4.0\n"), error
    alone = worker(free_ports(1), 0)
    assert alone.communicate(timeout=100)[0] == "1 2.0\n"


@pytest.mark.slow
def test_a_peer_that_is_lost_while_tensorflow_connects_ends_the_process(worker):
    ports = free_ports(2)
    left = worker(ports, 0, timeout=10.0)
    lost = worker(ports, 1, SEES_THE_PEER_AND_LEAVES)
    _, error = left.communicate(timeout=100)
    assert lost.wait(timeout=60) == 0
    assert left.returncode == 1
    assert "Timeout (0:00:10)" in error
    assert "in connect_workers" in error


def test_a_missing_peer_is_named(monkeypatch):
    ports = free_ports(2)
    monkeypatch.setenv("TF_CONFIG", tf_config(ports, 0))
    with pytest.raises(TimeoutError) as caught:
        connect_workers(0.5)
    assert str(caught.value).startswith(
        f"worker 0 (127.0.0.1:{ports[0]}) waited 0.5 s, and of 1 peers these did not come: "
        f"worker 1 (127.0.0.1:{ports[1]})."
    )


def test_only_those_that_are_missing_are_named(monkeypatch):
    ports = free_ports(3)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", ports[1]))
        listener.listen()
        monkeypatch.setenv("TF_CONFIG", tf_config(ports, 0))
        with pytest.raises(TimeoutError, match=r"2 peers these did not come: worker 2 \("):
            connect_workers(0.5)


def test_who_waits_long_says_so(monkeypatch, caplog):
    monkeypatch.setattr(_rendezvous, "_SILENCE", 0.1)
    ports = free_ports(2)
    monkeypatch.setenv("TF_CONFIG", tf_config(ports, 1))
    with pytest.raises(TimeoutError):
        connect_workers(1)
    (record,) = caplog.records
    assert record.getMessage().endswith(f" waits for worker 0 (127.0.0.1:{ports[0]})")


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_in_use_is_an_error_at_once(monkeypatch, address):
    with socket.socket() as other:
        other.bind((address, 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setenv("TF_CONFIG", tf_config([port, *free_ports(1)], 0))
        with pytest.raises(OSError, match=f"cannot listen on port {port} of 127.0.0.1: it is in"):
            connect_workers(60)


def test_the_port_is_free_again_for_tensorflow():
    own, peer = (Task("worker", n, f"127.0.0.1:{p}") for n, p in enumerate(free_ports(2)))
    with _rendezvous._listening(peer, 1):
        _rendezvous.meet(own, [peer], 5)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", own.port))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", "must be JSON (Expecting value"),
        ("{", "must be JSON (Expecting property name"),
        ("[1]", "must be a JSON object."),
        ({"cluster": CLUSTER}, 'must be an object whose "task" has the "type" and "index"'),
        ({"cluster": {"worker": "a:1"}}, 'must be an object whose "cluster" has a list of'),
        ({"cluster": {}}, 'must be an object whose "cluster" has a list of'),
        (
            {"cluster": CLUSTER, "task": {"type": "worker", "index": 2}},
            "must say which task of the cluster this process is, one of worker 0, worker 1.",
        ),
        (
            {"cluster": CLUSTER, "task": {"type": "worker", "index": "one"}},
            'must be an object whose task "index" is a number.',
        ),
        (
            {"cluster": {"worker": ["host"]}, "task": {"type": "worker", "index": 0}},
            "must be made of addresses as host:port. Received: TF_CONFIG='host'",
        ),
        (
            {"cluster": {"worker": ["h:1", "h:1"]}, "task": {"type": "worker", "index": 0}},
            "must be made of addresses that all differ.",
        ),
    ],
)
def test_a_malformed_tf_config_is_a_clear_error(monkeypatch, config, message):
    monkeypatch.setenv("TF_CONFIG", config if isinstance(config, str) else json.dumps(config))
    with pytest.raises(ValueError, match="TF_CONFIG") as caught:
        connect_workers(1)
    assert str(caught.value).startswith(f"`TF_CONFIG` {message}")


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_the_timeout_is_positive(timeout):
    with pytest.raises(ValueError, match="`timeout` must be"):
        connect_workers(timeout)


@pytest.mark.parametrize("config", ["{}", '{"environment": "cloud"}'])
def test_without_a_cluster_there_is_nobody_to_wait_for(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    assert read(None) is None


def test_the_peers_are_the_chief_and_the_workers(monkeypatch):
    cluster = {"chief": ["h:1"], "worker": ["h:2", "h:3"], "ps": ["h:4"], "evaluator": ["h:5"]}
    monkeypatch.setenv(
        "TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": "1"}})
    )
    own, peers = read(None)
    assert str(own) == "worker 1 (h:3)"
    assert [str(peer) for peer in peers] == ["chief 0 (h:1)", "worker 0 (h:2)"]
    task = {"type": "evaluator", "index": 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    assert read(None)[1] == []


def test_a_resolver_says_what_the_cluster_is(monkeypatch):
    for name, value in {
        "PROCID": "1",
        "STEP_NUM_TASKS": "2",
        "STEP_NODELIST": "n[1-2]",
        "STEP_TASKS_PER_NODE": "1(x2)",
    }.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
        gpus_per_node=1, auto_set_gpu=False
    )
    assert [str(task) for task in [read(resolver)[0], *read(resolver)[1]]] == [
        "worker 1 (n2:8888)",
        "worker 0 (n1:8888)",
    ]


def test_a_resolver_must_know_its_task():
    spec = tf.train.ClusterSpec(CLUSTER)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(spec)
    with pytest.raises(ValueError, match="`cluster_resolver` must say which task of the cluster"):
        connect_workers(1, cluster_resolver=resolver)
