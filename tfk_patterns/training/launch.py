"""Run a training script as several workers on this machine, and restart them when one fails.

Each worker is a process of the script with its own TF_CONFIG. After a failure all are ended and
started again, with the same words, on fresh ports: the script goes on from its checkpoints.

What worker 0 prints is shown; what the others print goes to files of --log-dir, and its last
lines are shown when one of them fails.

Examples:
  python -m tfk_patterns.training.launch --workers 2 train.py
  python -m tfk_patterns.training.launch --workers 4 --log-dir logs train.py --epochs 10

Exit status: 0 all workers ended with 0, 2 called wrongly, else that of the worker that failed
first in the last attempt (128 + the signal's number where a signal ended it)
"""

import argparse
import pathlib
import signal
import sys
from collections.abc import Sequence

from tfk_patterns._command_line import Parser
from tfk_patterns.training.supervising import launch


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status.

    Args:
        arguments: The words after the program's name; those of this process by default.
    """
    summary, _, details = __doc__.partition("\n\n")
    parser = Parser(
        prog="python -m tfk_patterns.training.launch",
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--workers", type=int, required=True, metavar="N", help="how many")
    parser.add_argument(
        "--max-restarts",
        type=int,
        default=10,
        metavar="N",
        help="give up after so many restarts (default: %(default)s)",
    )
    parser.add_argument(
        "--grace",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="how long the others may take to end after a failure (default: %(default)s)",
    )
    parser.add_argument(
        "--log-dir", metavar="DIR", help="keep what workers 1, 2 and so on print, a file each"
    )
    parser.add_argument("script", metavar="script.py", help="the script that each worker runs")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="...", help="the script's own words"
    )
    given = parser.parse_args(arguments)
    if not pathlib.Path(given.script).is_file():
        parser.error(f"there is no script {given.script}")
    try:
        return launch(
            [sys.executable, given.script, *given.arguments],
            given.workers,
            max_restarts=given.max_restarts,
            grace=given.grace,
            log_dir=given.log_dir,
        )
    except (ValueError, OSError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
