"""The supervisor of several workers on one machine: it starts, watches, ends and restarts them."""

import contextlib
import pathlib
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from tfk_patterns import _validate
from tfk_patterns.training._worker_processes import WorkerProcesses

_SOON = 15.0  # TensorFlow alone takes some seconds to be imported
_SOON_IN_A_ROW = 3


def launch(
    command: Sequence[str],
    workers: int,
    *,
    max_restarts: int = 10,
    grace: float = 5.0,
    log_dir: str | None = None,
) -> int:
    """Runs a command as several workers on this machine, and restarts all when one fails.

    Each worker gets `TF_CONFIG`, with loopback ports that are fresh in each attempt, and nothing
    to read. The output of worker 0 is this process's; that of the others goes to files, whose
    last lines are printed when one of them fails.

    A worker fails when it ends with another status than 0, or by a signal. The others then have
    `grace` seconds to end by themselves, and are killed, with whatever they started; then all are
    started again. A worker that ends with 0 is waited for no longer, the others without a limit.

    It gives up after `max_restarts`, and where a restart makes no difference: when a worker has
    ended by itself within 15 s of its start, with the same status, three times in a row.

    Ctrl-C and SIGTERM pass on as SIGTERM; workers that still run `grace` seconds later are
    killed. When this process is itself killed, a helper process kills them at once; it does not
    hold for a process that a worker moved to a session of its own, or when the helper was killed
    too. POSIX only.

    Args:
        command: The words of the command, as `[sys.executable, "train.py"]`.
        workers: How many processes.
        max_restarts: How many times all are started again.
        grace: Seconds that workers have to end by themselves.
        log_dir: Folder for `worker-1.log` and so on, which is made if it is missing; an attempt
            appends to them. By default the output is kept only as long as this runs.

    Returns:
        The exit status: 0 when all workers have ended with 0; else the status of the worker that
        failed first in the last attempt, 128 + its number for a signal.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range, or `command` is empty.
        OSError: The command, or `log_dir`, cannot be used.

    Example:

    >>> import sys
    >>> from tfk_patterns.training.launch import launch
    >>> launch([sys.executable, "-c", "import os; os.environ['TF_CONFIG']"], workers=2)
    0
    """
    if isinstance(command, str) or not all(isinstance(word, str) for word in command):
        raise _validate.type_error("command", "a list of strings", command)
    if not command:
        raise _validate.value_error("command", "a list of at least one word", command)
    workers = _validate.positive_integer("workers", workers)
    max_restarts = _validate.non_negative_integer("max_restarts", max_restarts)
    grace = _validate.non_negative("grace", grace)
    with _logs(log_dir, workers) as logs, _told_to_end() as told:
        group = WorkerProcesses(command, logs)
        try:
            status = _attempts(group, max_restarts, grace, told)
            if told:
                _say(f"told to end by {signal.Signals(told[0]).name}: ending all workers")
                group.ask_to_end()
                group.end(grace, lambda: len(told) > 1)
        finally:
            group.close()
    if told[:1] == [signal.SIGINT]:
        raise KeyboardInterrupt
    if told:
        raise SystemExit(128 + told[0])
    return status


def _attempts(group: WorkerProcesses, max_restarts: int, grace: float, told: list[int]) -> int:
    soon: list[int] = []  # return codes of the failures soon after the start, in a row
    restarts = 0
    while True:
        started = time.monotonic()
        group.start()
        failure = group.wait(lambda: bool(told))
        if failure is None:  # or told to end
            return 0
        index, code = failure
        lasted = time.monotonic() - started
        group.end(grace, lambda: bool(told))
        if (last_lines := group.last_lines(index)).strip():
            _say(f"the last lines of worker {index}:\n{last_lines}")
        is_soon = code > 0 and lasted < _SOON  # a signal comes from outside
        soon = [*(soon if code in soon[-1:] else []), code] if is_soon else []
        what = f"worker {index} {_ending(code)} after {lasted:.1f} s"
        if len(soon) == _SOON_IN_A_ROW:
            _say(f"{what}, {_SOON_IN_A_ROW} times in a row: restarts make no difference")
            return code
        if restarts == max_restarts:
            _say(f"{what}; given up after {restarts} restarts")
            return code if code > 0 else 128 - code
        if told:
            return 0
        restarts += 1
        _say(f"{what}; restart {restarts} of at most {max_restarts} of all workers")


def _ending(code: int) -> str:
    if code > 0:
        return f"ended with status {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _say(line: str) -> None:
    print(f"launch: {line}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _logs(log_dir: str | None, workers: int) -> Iterator[list[BinaryIO]]:
    """Files for all but worker 0; without a folder they have no name, and leave nothing."""
    with contextlib.ExitStack() as opened:
        if log_dir is None:
            yield [opened.enter_context(tempfile.TemporaryFile()) for _ in range(1, workers)]
            return
        folder = pathlib.Path(log_dir)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"worker-{index}.log" for index in range(1, workers)]
        yield [opened.enter_context(path.open("a+b")) for path in paths]


@contextlib.contextmanager
def _told_to_end() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM; as exceptions they could strike while a worker is started."""
    told: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield told  # signals are the main thread's; if they end it, the helper ends the workers
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda number, _: told.append(number)) for number in numbers]
    try:
        yield told
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
