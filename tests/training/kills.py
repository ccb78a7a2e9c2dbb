"""Kills a training process at random moments, and starts it again until it ends."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).with_name("resumable.py")
ROOT = Path(__file__).parents[2]
# What a process says before it does it; `start-up` is any time before the first.
PHASES = (
    "start-up",
    "ready",
    "step",
    "writing",
    "written",
    "renaming",
    "validation",
    "epoch end",
    "end",
)
OFTEN = {"step": 10, "writing": 6, "written": 3, "renaming": 2, "validation": 5}
LONGEST = 240  # seconds


def start(folder, setting):
    """The process; what it prints is in a file of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "events").touch()
    with open(folder / "log", "ab") as log:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        arguments = [sys.executable, str(SCRIPT), str(folder), setting]
        return subprocess.Popen(arguments, env=environment, stdout=log, stderr=log)


def finish(process, folder):
    """The results of a process that nobody kills."""
    assert process.wait(LONGEST) == 0, (folder / "log").read_text()[-3000:]
    with np.load(folder / "result.npz") as file:
        return dict(file)


def kill(folder, setting, phase, draws):
    """Starts, and kills at a random moment of a phase; where it was, `None` after the end."""
    process, before = start(folder, setting), len(events(folder))
    wanted, delay = draws.integers(1, OFTEN.get(phase, 1) + 1), draws.uniform(0, 0.03)
    deadline = time.monotonic() + LONGEST
    if phase == "start-up":
        delay = draws.uniform(0, 4)
    else:
        while events(folder)[before:].count(phase) < wanted and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    assert process.wait() in (-signal.SIGKILL, 0), (folder / "log").read_text()[-3000:]
    if process.returncode == 0:
        return None
    return ["start-up", *events(folder)[before:]][-1]


def events(folder):
    """What the processes of a folder said, in order."""
    return (folder / "events").read_text().splitlines()


def survive(folder, setting, phases, seed):
    """Kills once in each of the phases; the results at the end, and where the kills landed."""
    draws = np.random.default_rng(seed)
    landed = Counter(kill(folder, setting, phase, draws) for phase in phases)
    return finish(start(folder, setting), folder), landed


def assert_equal(results, others):
    """Bit for bit."""
    assert results.keys() == others.keys()
    for name, value in results.items():
        assert value.dtype == others[name].dtype, name
        assert value.tobytes() == others[name].tobytes(), (name, value, others[name])
