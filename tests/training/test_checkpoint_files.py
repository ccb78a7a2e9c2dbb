"""Checkpoints that are damaged, of something else, or find no room; and kills while they grow."""

import io
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
from tensorflow import keras

from tests.training.resuming import X, in_order, killed, network, numbers, train
from tfk_patterns.training._checkpoint_files import CheckpointFiles

ARRAYS = {
    "00000/kernel/0": np.arange(6, dtype="float32").reshape(2, 3),
    "00001/bias/0": np.ones(()),
}


def foreign(kind):
    """The bytes of a file that is no checkpoint."""
    file = io.BytesIO()
    if kind == "npy":
        np.save(file, X)
    elif kind == "npz":
        np.savez(file, x=X)
    elif kind == "facts":
        np.savez(file, facts=np.frombuffer(b"{}", np.uint8))
    return file.getvalue()


def newest(folder):
    return sorted(folder.glob("*.npz"))[-1]


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


@pytest.mark.parametrize("kind", ["nothing", "npy", "npz", "facts"])
def test_a_foreign_file_is_named_and_without_it_the_older_one_is_used(kind, tmp_path):
    undisturbed = train(network(), tmp_path / "undisturbed")
    killed(network, tmp_path / "killed")
    path = newest(tmp_path / "killed")
    path.write_bytes(foreign(kind))
    with pytest.raises(ValueError, match="damaged; remove it to go on from") as caught:
        train(network(), tmp_path / "killed")
    assert str(path) in str(caught.value)
    path.unlink()
    assert train(network(), tmp_path / "killed") == undisturbed


OTHERS = {
    "shape": lambda: network(units=6),
    "layer": lambda: network(lambda: keras.layers.Dense(5)),
    "optimizer": lambda: network(optimizer=lambda: keras.optimizers.SGD(0.01)),
    "momentum": lambda: network(optimizer=lambda: keras.optimizers.RMSprop(0.01)),
    "metric": lambda: network(metrics=["mae"]),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_checkpoint_of_another_model_changes_nothing(other, tmp_path):
    killed(network, tmp_path)
    model = OTHERS[other]()
    before = [value.tobytes() for value in model.get_weights()]
    with pytest.raises(ValueError, match="`model` must be the one that the checkpoint"):
        train(model, tmp_path)
    assert [value.tobytes() for value in model.get_weights()] == before


@pytest.mark.parametrize("types", [("float32", "bfloat16"), ("bfloat16", "float16")])
def test_a_checkpoint_of_another_type_changes_nothing(types, tmp_path):
    def make(dtype):
        keras.backend.clear_session()
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, dtype=dtype)])
        model.compile(keras.optimizers.SGD(0.01), "mse")
        return model

    killed(lambda: make(types[0]), tmp_path)
    model = make(types[1])
    before = [np.asarray(value).tobytes() for value in model.get_weights()]
    with pytest.raises(ValueError, match="`model` must be the one that the checkpoint"):
        train(model, tmp_path)
    assert [np.asarray(value).tobytes() for value in model.get_weights()] == before


def test_a_checkpoint_of_fewer_replicas_changes_nothing(two_replicas, tmp_path):
    killed(network, tmp_path)
    with two_replicas.scope():
        model = network()
    before = [value.tobytes() for value in model.get_weights()]
    with pytest.raises(ValueError, match="on as many replicas"):
        train(model, tmp_path)
    assert [value.tobytes() for value in model.get_weights()] == before


@pytest.mark.parametrize(
    ("argument", "changed"),
    [
        ("`callbacks`", {"callbacks": lambda: [keras.callbacks.TerminateOnNaN()]}),
        ("`initial_epoch`", {"initial_epoch": 1}),
    ],
)
def test_a_checkpoint_of_another_run_changes_nothing(argument, changed, tmp_path):
    killed(network, tmp_path)
    model = network()
    before = [value.tobytes() for value in model.get_weights()]
    with pytest.raises(ValueError, match=f"{argument} must be") as caught:
        train(model, tmp_path, **changed)
    assert str(newest(tmp_path)) in str(caught.value)
    assert [value.tobytes() for value in model.get_weights()] == before


def test_three_files_are_kept_and_nothing_else(tmp_path):
    train(network(), tmp_path, save_freq=1)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        f"epoch-{epoch:06}-step-{step:010}.npz" for epoch, step in ((2, 4), (2, 5), (3, 0))
    ]


@pytest.mark.parametrize("callbacks", [list, lambda: [early_stopping()]], ids=["plain", "stopping"])
def test_weights_in_bfloat16_go_on(callbacks, tmp_path):
    """Also those that a callback remembers."""

    def make():
        return network(lambda: keras.layers.Dense(5, dtype="bfloat16"))

    undisturbed = train(make(), tmp_path / "undisturbed", callbacks=callbacks)
    killed(make, tmp_path / "killed", (2, 1), callbacks=callbacks)
    assert train(make(), tmp_path / "killed", callbacks=callbacks) == undisturbed


def early_stopping():
    return keras.callbacks.EarlyStopping(patience=1, min_delta=10.0, restore_best_weights=True)


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
    with pytest.raises(OSError, match="No space left"), open(ballast, "wb", 0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(OSError, match="No space left.*epoch-.*npz"):
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


@pytest.mark.parametrize("delay", [0.0, 0.01, pytest.param(0.03, marks=pytest.mark.slow)])
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
    steps = [step for _, step in files.keys()]
    assert steps[-1] in (done[-1], done[-1] + 1)
    assert len(steps) >= 3
    for step in steps:
        arrays, facts = files.read((0, step))
        np.testing.assert_array_equal(arrays["a"], np.arange(3_000_000) + step)
        assert facts == {"step": step}


def test_a_checkpoint_that_is_read_is_in_the_model(tmp_path):
    killed(network, tmp_path, (1, 1))
    with np.load(newest(tmp_path)) as file:
        kept = [value.tobytes() for name, value in file.items() if "kernel" in name]
    model = network()
    train(model, tmp_path, epochs=1, data=in_order)
    assert set(kept) <= set(numbers(model))
