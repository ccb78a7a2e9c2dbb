"""The strategy for several workers, with errors where TensorFlow would hang."""

import contextlib
import faulthandler

import tensorflow as tf

from tfk_patterns import _validate
from tfk_patterns.training import _cluster, _rendezvous


def connect_workers(
    timeout: float = 300.0,
    communication_options: tf.distribute.experimental.CommunicationOptions | None = None,
    *,
    cluster_resolver: tf.distribute.cluster_resolver.ClusterResolver | None = None,
) -> tf.distribute.MultiWorkerMirroredStrategy:
    """Makes a `MultiWorkerMirroredStrategy` when all its workers are there, or says who is not.

    The cluster is what `TF_CONFIG` says, or a resolver. Without either there is one worker, this
    process, and the same script runs alone. Call it first: TensorFlow refuses once anything has
    started its devices, a tensor for instance; seeds and `tf.config` may be set before.

    TensorFlow's own constructor waits an hour for a peer, and holds the interpreter meanwhile, so
    that neither Ctrl-C nor a thread of the script can end it. So the workers first meet here:
    each listens on its port until it has seen every other's, which a missing peer turns into a
    `TimeoutError` with its name. Should a peer be lost between that and TensorFlow's connecting,
    about a second, the process is ended with status 1 and a traceback headed `Timeout`,
    `timeout` seconds later. TensorFlow listens on all addresses of the host, without encryption
    or passwords: keep the ports within a network you trust.

    `timeout` is about connecting alone. Afterwards (measured on the loopback, TensorFlow 2.15.1
    and 2.21) a collective fails with `tf.errors.UnavailableError` when a peer is killed or ends,
    within 0.1 s to 1 s where data was on its way from it, else at a missed heartbeat, within 11 s
    as when a peer froze (SIGSTOP). That a peer did other work for 70 s was no error. So
    `timeout_seconds` in `communication_options` is best left out: with 5 s there, a peer that was
    busy for 20 s became a `DeadlineExceededError` on the others. After such an error all workers
    must be restarted; `python -m tfk_patterns.training.launch` does that on one machine.

    Args:
        timeout: Seconds to wait for peers, more than the difference of their starts.
        communication_options: How collectives are done; handed to the strategy.
        cluster_resolver: Says what the cluster is instead of `TF_CONFIG`: for Slurm, a
            `tf.distribute.cluster_resolver.SlurmClusterResolver`.

    Returns:
        The strategy.

    Raises:
        TypeError: `timeout` is no number.
        ValueError: `timeout` is not more than 0, or `TF_CONFIG` or the resolver gives no cluster
            that this process is part of.
        TimeoutError: A peer did not come; the message names those that did not.
        OSError: This worker's port is in use, or cannot be listened on.
        RuntimeError: TensorFlow's devices have been started before.

    Example:

    ```python
    strategy = connect_workers()
    with strategy.scope():
        model = make_model()
    ```
    """
    timeout = _validate.positive("timeout", timeout)
    cluster = _cluster.read(cluster_resolver)
    if cluster is not None:
        _rendezvous.meet(*cluster, timeout)
    with _no_endless_wait(timeout), _clear_errors(cluster):
        return tf.distribute.MultiWorkerMirroredStrategy(
            cluster_resolver=cluster_resolver, communication_options=communication_options
        )


@contextlib.contextmanager
def _no_endless_wait(timeout: float):
    """Ends the process, with a traceback, when a peer is lost just as TensorFlow connects.

    TensorFlow then waits for an hour, and holds the interpreter: no exception can be raised, and
    no other thread runs. The thread of `faulthandler` is none of the interpreter's.
    """
    faulthandler.dump_traceback_later(timeout, exit=True, file=2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextlib.contextmanager
def _clear_errors(cluster):
    try:
        yield
    except tf.errors.UnknownError as error:
        if cluster is None or "Could not start gRPC server" not in str(error):
            raise
        raise _rendezvous.cannot_listen(cluster[0], "it is in use") from error
    except RuntimeError as error:
        if "program startup" not in str(error):
            raise
        raise RuntimeError(
            "connect_workers() must come before whatever starts TensorFlow's devices: before "
            "tensors, variables, layers and datasets are made."
        ) from error
