"""Checkpoints that are damaged or find no room, and kills while they are written."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.training.resuming import killed, network, train
from tfk_patterns.training._checkpoint_files import CheckpointFiles

ARRAYS = {
    "00000/kernel/0": np.arange(6, dtype="float32").reshape(2, 3),
    "00001/bias/0": np.ones(()),
}


@pytest.fixture
def files(tmp_path):
    """Two checkpoints."""
    files = CheckpointFiles(tmp_path)
    for step in (1, 2):
        files.write((0, step), ARRAYS, {"step": step})
    return files


def is_refused_or_right(files):
    """The remedy is named, and the file; or what is read is what was written."""
    path = files.path((0, 2))
    try:
        arrays, facts = files.read((0, 2))
    except ValueError as error:
        return str(path) in str(error) and "remove it to go on from epoch-000000" in str(error)
    same = [np.array_equal(arrays[name], value) for name, value in ARRAYS.items()]
    return all(same) and facts == {"step": 2}


@pytest.mark.parametrize("bit", [0, pytest.param(5, marks=pytest.mark.slow)])
def test_a_flipped_bit_is_noticed_wherever_it_is(bit, files):
    whole = files.path((0, 2)).read_bytes()
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 1 << bit
        files.path((0, 2)).write_bytes(data)
        assert is_refused_or_right(files), place


def test_a_truncated_file_is_noticed_wherever_it_ends(files):
    whole = files.path((0, 2)).read_bytes()
    for end in range(len(whole)):
        files.path((0, 2)).write_bytes(whole[:end])
        with pytest.raises(ValueError, match="damaged"):
            files.read((0, 2))


def test_three_files_are_kept_and_nothing_else(tmp_path):
    train(network(), tmp_path, save_freq=1)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        f"epoch-{epoch:06}-step-{step:010}.npz" for epoch, step in ((2, 4), (2, 5), (3, 0))
    ]


@pytest.fixture
def limited():
    """Files may not grow over 6000 bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, limits[1]))
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_file_that_may_not_grow_is_named_and_those_before_it_are_whole(files, limited):
    large = {"large": np.zeros(4000, "float32")}
    with pytest.raises(OSError, match="those before it are whole") as caught:
        files.write((0, 3), large, {})
    assert str(files.path((0, 3))) in str(caught.value)
    assert files.keys() == [(0, 1), (0, 2)]
    assert is_refused_or_right(files)
    assert not list(files.folder.glob("*.partial"))
    limited()
    files.write((0, 3), large, {})
    np.testing.assert_array_equal(files.read((0, 3))[0]["large"], large["large"])


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_run_goes_on_after_room_was_made_on_a_full_disk(small_disk, tmp_path):
    undisturbed = train(network(), tmp_path / "undisturbed")
    killed(network, small_disk / "run")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_bsize))
    with pytest.raises(OSError, match=r"No space left.*epoch-.*npz"):
        train(network(), small_disk / "run")
    assert not list((small_disk / "run").glob("*.partial"))
    ballast.unlink()
    assert train(network(), small_disk / "run") == undisturbed


def test_a_read_only_folder_is_named(small_disk):
    command = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(command, check=True)
    with pytest.raises(OSError, match="Read-only file system") as caught:
        train(network(), small_disk)
    assert str(small_disk) in str(caught.value)


WRITER = """
import sys, numpy as np
from tfk_patterns.training._checkpoint_files import CheckpointFiles
files = CheckpointFiles(sys.argv[1])
array = np.arange(3_000_000)
for step in range(1, 1000):
    files.write((0, step), {"a": array + step}, {"step": step})
    print(step, flush=True)
"""


@pytest.mark.parametrize(
    "delay", [0.01, *(pytest.param(one, marks=pytest.mark.slow) for one in (0.0, 0.03))]
)
def test_a_kill_in_a_write_leaves_the_checkpoints_before_it(delay, tmp_path):
    """Of 24 MB, each: a kill finds most of them half written."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    done = [int(process.stdout.readline()) for _ in range(4)]
    time.sleep(delay)
    process.kill()
    done += map(int, process.communicate()[0].split())
    files = CheckpointFiles(tmp_path)  # which removes what was not finished
    assert not list(tmp_path.glob("*.partial"))
    steps = [step for _, step in CheckpointFiles.keys(files)]
    assert steps[-1] in (done[-1], done[-1] + 1)
    assert len(steps) >= 3
    for step in steps:
        arrays, facts = files.read((0, step))
        np.testing.assert_array_equal(arrays["a"], np.arange(3_000_000) + step)
        assert facts == {"step": step}
