"""Who takes part: the cluster that TF_CONFIG or a resolver describes, checked."""

import dataclasses
import json
import os
from typing import Any

import tensorflow as tf

from tfk_patterns import _validate

_COLLECTIVE_JOBS = ("chief", "worker")  # an evaluator or a parameter server waits for nobody


@dataclasses.dataclass(frozen=True)
class Task:
    """One process of a cluster."""

    job: str
    index: int
    address: str

    def __str__(self):
        return f"{self.job} {self.index} ({self.address})"

    @property
    def host(self) -> str:
        return self.address.rpartition(":")[0]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


def read(cluster_resolver) -> tuple[Task, list[Task]] | None:
    """This worker and its peers; `None` where there is no cluster.

    Raises:
        ValueError: TF_CONFIG, or what the resolver says, describes no cluster.
    """
    if cluster_resolver is None:
        _check_tf_config(os.environ.get("TF_CONFIG", "{}"))
        cluster_resolver, name = (
            tf.distribute.cluster_resolver.TFConfigClusterResolver(),
            "TF_CONFIG",
        )
    else:
        name = "cluster_resolver"
    spec = cluster_resolver.cluster_spec()  # first: Slurm's resolver knows its task only then
    tasks = [
        Task(job, index, spec.task_address(job, index))
        for job in spec.jobs
        for index in spec.task_indices(job)
    ]
    if not tasks:
        return None
    for task in tasks:
        if not _is_address(task.address):
            raise _validate.value_error(name, "made of addresses as host:port", task.address)
    addresses = [task.address for task in tasks]
    if len(set(addresses)) < len(addresses):
        raise _validate.value_error(name, "made of addresses that all differ", addresses)
    who = (cluster_resolver.task_type, cluster_resolver.task_id)
    own = [task for task in tasks if (task.job, task.index) == who]
    if not own:
        known = ", ".join(f"{task.job} {task.index}" for task in tasks)
        raise ValueError(
            f"`{name}` must say which task of the cluster this process is, one of {known}. "
            f"Received: type {who[0]!r}, index {who[1]!r}"
        )
    if own[0].job not in _COLLECTIVE_JOBS:
        return own[0], []
    return own[0], [task for task in tasks if task.job in _COLLECTIVE_JOBS and task not in own]


def _check_tf_config(text: str) -> None:
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise _validate.value_error("TF_CONFIG", f"JSON ({error})", text) from None
    if not isinstance(config, dict):
        raise _validate.value_error("TF_CONFIG", "a JSON object", text)
    if "cluster" not in config:
        return
    if not _is_cluster(config["cluster"]):
        expected = 'an object whose "cluster" has a list of host:port for each job'
        raise _validate.value_error("TF_CONFIG", expected, text)
    task = config.get("task")
    if not isinstance(task, dict) or not {"type", "index"} <= set(task):
        expected = 'an object whose "task" has the "type" and "index" of this process'
        raise _validate.value_error("TF_CONFIG", expected, text)
    if not str(task["index"]).isdecimal():
        raise _validate.value_error("TF_CONFIG", 'an object whose task "index" is a number', text)


def _is_cluster(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) > 0
        and all(isinstance(tasks, list) and tasks for tasks in value.values())
        and all(isinstance(task, str) for tasks in value.values() for task in tasks)
    )


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 2**16
