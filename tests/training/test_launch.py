"""The supervisor, with scripts that need no TensorFlow; processes are real, and so are signals."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tfk_patterns.training import launch as command_line
from tfk_patterns.training._worker_processes import free_ports
from tfk_patterns.training.launch import launch

# What each script knows: its index, which attempt it is in, and a folder to leave notes in.
PREAMBLE = """
import json, os, pathlib, signal, subprocess, sys, time
config = json.loads(os.environ["TF_CONFIG"])
index = config["task"]["index"]
notes = pathlib.Path(__file__).parent
attempt = len(list(notes.glob(f"config-{index}-*")))
(notes / f"pid-{index}-{attempt}").write_text(str(os.getpid()))
(notes / f"config-{index}-{attempt}").write_text(json.dumps(config))
while len(list(notes.glob(f"config-*-{attempt}"))) < len(config["cluster"]["worker"]):
    time.sleep(0.01)  # else one might be killed before it has left its notes
"""
SLEEP = "time.sleep(60)"
pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def script(tmp_path):
    """Writes a script and returns the command that runs it."""

    def write(text, *arguments):
        path = tmp_path / "script.py"
        path.write_text(PREAMBLE + text)
        return [sys.executable, "-S", str(path), *arguments]

    return write


@pytest.fixture
def supervisor(tmp_path):
    """Starts `launch()` in a process of its own, which a test may end in any way."""
    started = []

    def start(command, workers=2, **options):
        call = f"sys.exit(launch({command!r}, {workers}, **{options!r}))"
        text = f"import sys; from tfk_patterns.training.launch import launch; {call}"
        started.append(subprocess.Popen([sys.executable, "-c", text], stderr=subprocess.PIPE))
        wait_until(lambda: len(pids(tmp_path)) >= workers)
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=20)


def notes(folder, kind, index, attempt):
    return (folder / f"{kind}-{index}-{attempt}").read_text()


def pids(folder):
    return [int(text) for path in folder.glob("pid-*") if (text := path.read_text())]


def is_alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until(condition, seconds=40):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def attempts(folder):
    return len(list(folder.glob("pid-0-*")))


def test_all_get_the_same_cluster_and_their_own_index(script, tmp_path):
    assert launch(script("", "--rate", "0.1"), 3) == 0
    configs = [json.loads(notes(tmp_path, "config", index, 0)) for index in range(3)]
    assert [config["task"] for config in configs] == [
        {"type": "worker", "index": index} for index in range(3)
    ]
    assert len({json.dumps(config["cluster"]) for config in configs}) == 1
    addresses = configs[0]["cluster"]["worker"]
    assert len(set(addresses)) == 3
    assert all(address.startswith("127.0.0.1:") for address in addresses)


def test_a_failure_restarts_all_on_other_ports(script, tmp_path, capfd):
    assert launch(script("sys.exit(3 if index == 1 and attempt == 0 else 0)"), 2, grace=0.5) == 0
    assert attempts(tmp_path) == 2
    first, second = (json.loads(notes(tmp_path, "config", 0, n))["cluster"] for n in range(2))
    assert not set(first["worker"]) & set(second["worker"])
    assert "worker 1 ended with status 3 after" in capfd.readouterr().err


def test_a_killed_worker_restarts_all_and_the_others_are_killed(script, tmp_path, capfd):
    text = f"""
if attempt == 0:
    if index == 1: os.kill(os.getpid(), signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    {SLEEP}
"""
    started = time.monotonic()
    assert launch(script(text), 2, grace=0.5) == 0
    assert time.monotonic() - started < 20
    assert not any(map(is_alive, pids(tmp_path)))
    error = capfd.readouterr().err
    assert "worker 1 was ended by SIGKILL after" in error
    assert "restart 1 of at most 10 of all workers" in error


def test_the_others_have_the_grace_to_end_by_themselves(script, tmp_path):
    text = """
if attempt == 0:
    if index == 1: sys.exit(1)
    time.sleep(1)
    (notes / "saved").touch()
"""
    assert launch(script(text), 2, grace=20) == 0
    assert (tmp_path / "saved").exists()


def test_one_that_has_ended_with_0_does_not_end_the_others(script, tmp_path):
    text = "if index == 1: time.sleep(1.5); (notes / 'done').touch()"
    assert launch(script(text), 2, grace=0) == 0
    assert (tmp_path / "done").exists()
    assert attempts(tmp_path) == 1


def test_what_a_worker_has_started_ends_with_it(script, tmp_path):
    text = """
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
(notes / f"pid-child-{index}").write_text(str(child.pid))
"""
    assert launch(script(text), 2) == 0
    assert len(pids(tmp_path)) == 4
    wait_until(lambda: not any(map(is_alive, pids(tmp_path))))


def test_it_gives_up_after_so_many_restarts(script, tmp_path, capfd):
    assert launch(script("os.kill(os.getpid(), signal.SIGKILL)"), 1, max_restarts=4) == 128 + 9
    assert attempts(tmp_path) == 5
    assert "given up after 4 restarts" in capfd.readouterr().err


def test_an_error_of_the_script_stops_soon_and_is_shown(script, tmp_path, capfd):
    text = f"if index == 1: raise KeyError('a typing error')\n{SLEEP}"
    assert launch(script(text), 2, grace=0) == 1
    assert attempts(tmp_path) == 3
    error = capfd.readouterr().err
    assert "3 times in a row: restarts make no difference" in error
    assert "Traceback (most recent call last):" in error
    assert "KeyError: 'a typing error'" in error


def test_different_statuses_are_no_error_of_the_script(script, tmp_path):
    assert launch(script("sys.exit([7, 8, 7, 0][attempt])"), 1) == 0
    assert attempts(tmp_path) == 4


def test_the_chief_is_shown_and_the_others_only_when_they_fail(script, capfd):
    talk = "print('out of', index); print('err of', index, file=sys.stderr)"
    assert launch(script(talk), 2) == 0
    assert capfd.readouterr() == ("out of 0\n", "err of 0\n")


def test_the_others_are_logged(script, tmp_path, capfd):
    talk = "print('attempt', attempt); sys.exit(0 if attempt else 5 * index)"
    logs = tmp_path / "new" / "logs"
    assert launch(script(talk), 2, log_dir=str(logs), grace=5) == 0
    assert (logs / "worker-1.log").read_text() == "attempt 0\nattempt 1\n"
    assert "the last lines of worker 1:\nattempt 0\n" in capfd.readouterr().err


def test_what_a_killed_worker_has_printed_is_not_lost(script, capfd):
    talk = "print('before'); os.kill(os.getpid(), signal.SIGKILL) if index else time.sleep(60)"
    assert launch(script(talk), 2, max_restarts=0, grace=0) == 128 + 9
    assert "the last lines of worker 1:\nbefore\n" in capfd.readouterr().err


def test_only_the_last_lines_of_this_attempt_are_shown(script, tmp_path, capfd):
    (tmp_path / "worker-1.log").write_text("of an earlier run\n")
    talk = "[print('line', n) for n in range(3000)]; sys.exit(index)"
    assert launch(script(talk), 2, log_dir=str(tmp_path), max_restarts=0, grace=5) == 1
    lines = capfd.readouterr().err.splitlines()
    assert lines[1:31] == [f"line {n}" for n in range(2970, 3000)]
    assert launch(script("sys.exit(index)"), 2, log_dir=str(tmp_path), max_restarts=0) == 1
    assert "line" not in capfd.readouterr().err.replace("last lines", "")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_supervisor_that_is_told_to_end_ends_all(script, supervisor, tmp_path, number, status):
    text = f"""
def leave(*_):
    (notes / f"left-{{index}}").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
(notes / f"ready-{{index}}").touch()
{SLEEP}
"""
    process = supervisor(script(text))
    wait_until(lambda: len(list(tmp_path.glob("ready-*"))) == 2)
    process.send_signal(number)
    _, error = process.communicate(timeout=20)
    assert process.returncode in (status, -number)
    assert b"ending all workers" in error
    assert not any(map(is_alive, pids(tmp_path)))
    assert len(list(tmp_path.glob("left-*"))) == 2


def test_workers_that_ignore_it_are_killed_after_the_grace_or_at_once(script, supervisor, tmp_path):
    text = (
        f"signal.signal(signal.SIGTERM, signal.SIG_IGN); (notes / f'i-{{index}}').touch(); {SLEEP}"
    )
    process = supervisor(script(text), grace=60)
    wait_until(lambda: len(list(tmp_path.glob("i-*"))) == 2)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert all(map(is_alive, pids(tmp_path)))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert not any(map(is_alive, pids(tmp_path)))


def test_nothing_is_left_when_the_supervisor_is_killed(script, supervisor, tmp_path):
    text = f"""
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
(notes / f"pid-child-{{index}}").write_text(str(child.pid))
{SLEEP}
"""
    process = supervisor(script(text))
    wait_until(lambda: len(pids(tmp_path)) == 4)
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, pids(tmp_path))), seconds=5)


def test_the_command_hands_over_words_and_status(script, tmp_path, capfd):
    path = script("print(sys.argv[1:]); sys.exit(4)")[-1]
    words = ["--workers", "1", "--max-restarts", "0", path, "--workers", "9", "a", "-h"]
    assert command_line.main(words) == 4
    assert capfd.readouterr().out == "['--workers', '9', 'a', '-h']\n"


def test_it_runs_as_a_program(script, tmp_path):
    command = [sys.executable, "-m", "tfk_patterns.training.launch", "--workers=2", "--grace=0"]
    path = script("sys.exit(6 * index)")[-1]
    finished = subprocess.run(
        [*command, "--max-restarts=1", path], capture_output=True, text=True, timeout=50
    )
    assert finished.returncode == 6, finished.stderr
    assert "RuntimeWarning" not in finished.stderr  # of a module that is imported twice


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["script.py"], "error: the following arguments are required: --workers"),
        (
            ["--workers", "0", __file__],
            "error: `workers` must be at least 1. Received: workers=0",
        ),
        (["--workers", "2", "--grace", "-1", __file__], "error: `grace` must be at least 0."),
        (["--workers", "2", "--work", "x.py"], "error: unrecognized arguments: --work"),
        (["--workers", "2", "no/script.py"], "error: there is no script no/script.py"),
    ],
)
def test_bad_usage_gives_2_and_one_line(capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        command_line.main(words)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("train.py", 2), TypeError, "`command` must be a list of strings."),
        (([], 2), ValueError, "`command` must be a list of at least one word."),
        ((["true"], 1.5), TypeError, "`workers` must be an integer."),
        ((["true"], 0), ValueError, "`workers` must be at least 1."),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error) as caught:
        launch(*arguments)
    assert str(caught.value).startswith(message)


def test_a_command_that_is_not_there_is_the_system_s_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        launch([str(tmp_path / "not-there")], 2)


def test_ports_are_fresh():
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert not set(ports) & set(free_ports(20, avoid=ports))
