"""What the worker processes that train one model agree on."""

import contextlib

import tensorflow as tf


class WorkerLostError(RuntimeError):
    """Another worker has been lost: all workers must be ended, and started again."""


class Workers:
    """The worker processes of a strategy, of which this is one."""

    def __init__(self, strategy):
        self._strategy = strategy
        self.index, self.count = _index_and_count(strategy)
        self._gather = tf.function(lambda rows: strategy.gather(rows, axis=0))

    def gather(self, numbers: list[int]) -> list[list[int]]:
        """The numbers of each worker, as many from each; every worker must ask at once."""
        if self.count == 1:
            return [numbers]
        row = tf.constant([numbers], tf.int64)
        rows = self._strategy.experimental_distribute_values_from_function(lambda context: row)
        gathered = self._gather(rows).numpy().tolist()
        return gathered[:: self._strategy.num_replicas_in_sync // self.count]

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any worker; every worker must ask at once."""
        return any(flags[0] for flags in self.gather([int(flag)]))

    @contextlib.contextmanager
    def named_when_lost(self):
        """Says in one line what it means that a collective has failed."""
        lost = tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError
        try:
            yield
        except lost as error:
            if self.count == 1:
                raise
            raise WorkerLostError(
                f"Worker {self.index} of {self.count} has lost another one. End all workers, and "
                "start all of them again, as `python -m tfk_patterns.training.launch` does: with "
                "`checkpoint_dir` they go on from their checkpoints."
            ) from error


def _index_and_count(strategy) -> tuple[int, int]:
    resolver = getattr(strategy, "cluster_resolver", None)
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or resolver is None:
        return 0, 1
    cluster = resolver.cluster_spec().as_dict()
    chiefs, workers = (len(cluster.get(job, [])) for job in ("chief", "worker"))
    if chiefs + workers == 0:
        return 0, 1
    return resolver.task_id + (chiefs if resolver.task_type == "worker" else 0), chiefs + workers
