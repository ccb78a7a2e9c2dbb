"""Waiting for peers in Python, where it can time out; TensorFlow's own wait cannot."""

import contextlib
import errno
import logging
import socket
import time
from collections.abc import Sequence

from tfk_patterns.training._cluster import Task

_PAUSE = 0.2
_ATTEMPT = 2.0  # a host that is off answers nothing at all
_SILENCE = 10.0


def meet(own: Task, peers: Sequence[Task], timeout: float) -> None:
    """Returns when every peer has been seen listening on its port, as this worker does here.

    A peer that has seen all others gives its port to TensorFlow at once, so its port is closed
    for a moment and then open again: that is why a refused connection is tried again.

    Raises:
        OSError: The port of this worker cannot be listened on.
        TimeoutError: A peer was not seen in time.
    """
    started = time.monotonic()
    missing, has_spoken = list(peers), False
    with _listening(own, len(peers)):
        while True:
            missing = [peer for peer in missing if not _is_listening(peer)]
            waited = time.monotonic() - started
            names = ", ".join(map(str, missing))
            if not missing:
                return
            if waited > timeout:
                raise TimeoutError(
                    f"{own} waited {timeout:g} s, and of {len(peers)} peers these did not come: "
                    f"{names}. Is each started, and does its address lead to it from this host?"
                )
            if waited > _SILENCE and not has_spoken:
                logging.getLogger(__name__).warning("%s waits for %s", own, names)
                has_spoken = True
            time.sleep(_PAUSE)


def cannot_listen(own: Task, reason: object) -> OSError:
    """The error of a worker whose port is in use, or not its own to open."""
    return OSError(
        f"{own} cannot listen on port {own.port} of {own.host}: {reason}. Is a worker of an "
        "earlier run still there, or is the port another program's?"
    )


@contextlib.contextmanager
def _listening(own: Task, peers: int):
    # All addresses, as TensorFlow does: a name that is this host's own loopback (Debian's
    # 127.0.1.1) would be out of reach for others.
    is_loopback = own.host == "localhost" or own.host.startswith("127.")
    with socket.socket() as listener:
        # Connections of an earlier run linger for a minute; with this they do not count as use.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1" if is_loopback else "", own.port))
            listener.listen(peers + 16)  # nobody accepts: to be connected is all a peer wants
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            raise cannot_listen(own, "it is in use" if in_use else error.strerror) from None
        yield


def _is_listening(peer: Task) -> bool:
    try:
        with socket.create_connection((peer.host.strip("[]"), peer.port), _ATTEMPT):
            return True
    except OSError:
        return False
