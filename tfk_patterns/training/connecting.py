"""The strategy for several workers, with errors where TensorFlow would hang."""

import contextlib
import faulthandler

import tensorflow as tf

from tfk_patterns import _validate
from tfk_patterns.training import _cluster, _rendezvous


def connect_workers(
    timeout: float = 300.0, communication_options=None, *, cluster_resolver=None
) -> tf.distribute.MultiWorkerMirroredStrategy:
    """A `MultiWorkerMirroredStrategy` whose workers are all there."""
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
