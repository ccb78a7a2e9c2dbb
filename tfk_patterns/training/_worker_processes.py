"""The processes of one attempt: started with a TF_CONFIG each, watched, ended as groups."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from typing import BinaryIO

_PAUSE = 0.05
_TAIL_LINES, _TAIL_BYTES = 30, 16_384


class WorkerProcesses:
    """N processes of one command on this machine.

    Each leads a session, so a Ctrl-C of the terminal reaches the supervisor alone, and what a
    worker started ends with it.
    """

    def __init__(self, command: Sequence[str], logs: Sequence[BinaryIO]):
        self._command = list(command)
        # The chief, worker 0, has this process's own output.
        self._logs: list[BinaryIO | None] = [None, *logs]
        self._log_starts = [0] * len(self._logs)
        self._processes: list[subprocess.Popen] = []
        self._ports: list[int] = []
        self._warden = subprocess.Popen(
            [sys.executable, "-I", "-S", str(pathlib.Path(__file__).with_name("_warden.py"))],
            stdin=subprocess.PIPE,
            start_new_session=True,  # else what kills the supervisor's group kills it too
            text=True,
        )

    def start(self) -> None:
        """Starts all on ports that the last attempt did not have."""
        self._ports = free_ports(len(self._logs), avoid=self._ports)
        cluster = {"worker": [f"127.0.0.1:{port}" for port in self._ports]}
        for index, log in enumerate(self._logs):
            config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
            # What is printed to a file would else be lost with a worker that is killed.
            unbuffered = {"PYTHONUNBUFFERED": "1"}
            self._log_starts[index] = _size(log) if log else 0
            process = subprocess.Popen(
                self._command,
                env={**unbuffered, **os.environ, "TF_CONFIG": json.dumps(config)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT if log else None,
                start_new_session=True,
            )
            self._processes.append(process)
            self._tell_warden("+", process)

    def wait(self, is_told: Callable[[], bool]) -> tuple[int, int] | None:
        """Index and return code of the first that fails; `None` when all have ended with 0.

        Returns `None` as well as soon as this process `is_told` to end.
        """
        while not is_told():
            codes = [process.poll() for process in self._processes]
            for index, code in enumerate(codes):
                if code:
                    return index, code
            if None not in codes:
                break
            time.sleep(_PAUSE)
        return None

    def ask_to_end(self) -> None:
        """Sends SIGTERM, for a script that saves when it is told to end."""
        self._signal(signal.SIGTERM)

    def end(self, grace: float, is_told: Callable[[], bool]) -> None:
        """Waits for all to end by themselves, then kills what is left of them.

        Waits `grace` seconds, and no longer when this process `is_told` to end.
        """
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline and self._are_running() and not is_told():
            time.sleep(_PAUSE)
        self._signal(signal.SIGKILL)
        for process in self._processes:
            process.wait()
            self._tell_warden("-", process)
        self._processes = []

    def close(self) -> None:
        """Ends all at once, and what watched over them."""
        self.end(0.0, lambda: True)
        self._warden.stdin.close()
        self._warden.wait()

    def last_lines(self, index: int) -> str:
        """The end of what a worker has printed in this attempt; the chief's is on the terminal."""
        log = self._logs[index]
        if log is None:
            return ""
        start = max(self._log_starts[index], _size(log) - _TAIL_BYTES)
        # Without a seek: the position may be the one at which the worker writes.
        text = os.pread(log.fileno(), _TAIL_BYTES, start).decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-_TAIL_LINES:])

    def _are_running(self) -> bool:
        return any(process.poll() is None for process in self._processes)

    def _signal(self, number: int) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)

    def _tell_warden(self, sign: str, process: subprocess.Popen) -> None:
        with contextlib.suppress(BrokenPipeError):  # somebody killed it: the workers matter more
            print(f"{sign}{process.pid}", file=self._warden.stdin, flush=True)


def free_ports(count: int, avoid: Collection[int] = ()) -> list[int]:
    """Ports of the loopback that nobody listens on now, and none of `avoid`."""
    with contextlib.ExitStack() as held:  # held together, so that no two are the same
        ports: list[int] = []
        while len(ports) < count:
            listener = held.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            if port not in avoid:
                ports.append(port)
        return ports


def _size(log: BinaryIO) -> int:
    return os.fstat(log.fileno()).st_size
