"""A step of pytorch-tree-lstm as a function to be timed, in a process with PyTorch of its own."""

import contextlib
import subprocess
import tempfile
from pathlib import Path

import numpy as np

PYTHON = Path(__file__).parents[1] / ".venv-torch" / "bin" / "python"
_WORKER = Path(__file__).with_name("torch_worker.py")


def why_not() -> str | None:
    """Why PyTorch cannot be measured, or `None`."""
    if not PYTHON.exists():
        return f"there is no {PYTHON.parents[1].name}, which `make bench-tree-lstm` makes"
    test = subprocess.run([PYTHON, "-c", "import torch, treelstm"], capture_output=True, text=True)
    return test.stderr.strip().rpartition("\n")[2] if test.returncode else None


@contextlib.contextmanager
def torch_step(**arrays):
    """A function that runs one step there, and what the first step gave.

    A call costs the two lines between the processes besides, about a ten-thousandth of a second.

    Args:
        **arrays: `parents`, `mask`, `features`, `cotangent`, and the weights.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "inputs.npz", Path(folder) / "outputs.npz"
        np.savez(source, **arrays)
        with subprocess.Popen(
            [PYTHON, _WORKER, source, target],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as worker:
            _expect(worker, "ready")

            def step():
                worker.stdin.write("step\n")
                worker.stdin.flush()
                _expect(worker, "done")

            with np.load(target) as found:
                first = dict(found)
            yield step, first
            worker.stdin.close()


def _expect(worker, word):
    answer = worker.stdout.readline().strip()
    if answer != word:
        raise RuntimeError(f"the process with PyTorch said {answer!r} instead of {word!r}")
