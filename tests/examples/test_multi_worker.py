"""The example of several workers, and its command line."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import pytest

pytestmark = pytest.mark.xdist_group("multi_worker")

# Runs a script, and ends at once where it starts Python (libraries start other programs).
GUARDED = """
import os, runpy, sys
def hook(event, arguments):
    if event == "subprocess.Popen" and "python" in str(arguments[:2]):
        os._exit(7)
sys.addaudithook(hook)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def example(example):
    """Four epochs."""
    example.main.__defaults__ = (2, 4, True)
    return example


def test_alone_it_shows_and_with_a_word_it_is_one_worker(example, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert example.parse([]).command is None
    assert example.parse(["train"]).command == "train"
    monkeypatch.setenv("TF_CONFIG", "{}")
    assert example.parse(["train", "--folder=run"]).folder == pathlib.Path("run")


def test_within_a_cluster_it_starts_no_workers(example, monkeypatch, capsys):
    monkeypatch.setenv("TF_CONFIG", "{}")
    with pytest.raises(SystemExit, match="2"):
        example.parse([])
    assert "add `train`" in capsys.readouterr().err


def test_one_worker_is_none_to_compare(example, monkeypatch, capsys):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(SystemExit, match="2"):
        example.parse(["--workers", "1"])
    assert "2 or more" in capsys.readouterr().err


def test_all_batches_are_shared_out_equally(example):
    (images, _), (test_images, _) = example.load()
    assert len(images) % example.BATCH_SIZE == 0
    assert len(images) + len(test_images) == 1797
    assert not {image.tobytes() for image in images} & {image.tobytes() for image in test_images}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_killed_and_restarted_they_do_what_one_process_does(figures):
    assert figures["restarts"] == 1
    assert figures["agree"]
    assert 0 < max(figures["from_one"]) < 1e-3
    assert len(figures["by_one"]["loss"]) == 4
    assert figures["by_one"]["val_accuracy"][-1] > 0.9


@pytest.mark.slow
def test_it_writes_its_picture(figures, output):
    assert {path.name for path in output.iterdir()} == {"multi_worker.png"}


@pytest.mark.slow
def test_a_worker_starts_no_process(example, tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    config = {"cluster": {"worker": [address]}, "task": {"type": "worker", "index": 0}}
    words = [example.__file__, "train", f"--folder={tmp_path}", "--epochs=1"]
    done = subprocess.run(
        [sys.executable, "-c", GUARDED, *words],
        env={**os.environ, "TF_CONFIG": json.dumps(config)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "worker 0 of 1: done" in done.stdout
    assert len(json.loads((tmp_path / "history-0.json").read_text())["loss"]) == 1
