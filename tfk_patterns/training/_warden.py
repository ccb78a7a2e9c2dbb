"""Kills process groups when whoever holds the other end of its standard input is gone.

Run as a program of its own, without this package: `python -I -S _warden.py`. Its input has one
line for each group, `+PID` when it is there and `-PID` when it is over.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Reads until the end of the input, which comes even when the writer was killed."""
    groups: set[int] = set()
    for line in sys.stdin:
        change = groups.add if line.startswith("+") else groups.discard
        change(int(line[1:]))
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
