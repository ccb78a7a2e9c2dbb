"""What the worker processes that train one model agree on."""

import tensorflow as tf


def worker_index(strategy) -> int:
    """The index of this process among the workers; the chief's is 0."""
    cluster, resolver = _cluster(strategy)
    if resolver is None:
        return 0
    chiefs = len(cluster.get("chief", []))
    return resolver.task_id + (chiefs if resolver.task_type == "worker" else 0)


def worker_count(strategy) -> int:
    """How many worker processes there are."""
    cluster, _ = _cluster(strategy)
    return max(1, sum(len(tasks) for job, tasks in cluster.items() if job in ("chief", "worker")))


def gather_from_workers(strategy, numbers: list[int]) -> list[list[int]]:
    """The numbers of each worker, as many from each; every worker must ask at once."""
    if worker_count(strategy) == 1:
        return [numbers]
    row = tf.constant([numbers], tf.int64)
    rows = strategy.experimental_distribute_values_from_function(lambda context: row)
    gathered = strategy.gather(rows, axis=0).numpy().tolist()
    return gathered[:: strategy.num_replicas_in_sync // worker_count(strategy)]


def any_worker(strategy, flag: bool) -> bool:
    """Whether the flag is set on any worker; every worker must ask at once."""
    return any(flags[0] for flags in gather_from_workers(strategy, [int(flag)]))


def _cluster(strategy):
    resolver = getattr(strategy, "cluster_resolver", None)
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or resolver is None:
        return {}, None
    cluster = resolver.cluster_spec().as_dict()
    return cluster, (resolver if cluster else None)
