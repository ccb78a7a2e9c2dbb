"""The pytest plugin of tfk-patterns: options, a report in a file, and a summary.

It stands outside of the package, which imports TensorFlow: a session without parity tests, those of
`parametrize_checks` or marked `parity`, imports nothing more than this file.
"""

import pathlib
import sys
from collections import Counter

import pytest

_WRITERS = {".html": "write_html", ".json": "write_json"}


def pytest_addoption(parser):
    """Adds `--parity-checks` and `--parity-report`."""
    group = parser.getgroup("parity", "checks of tf.keras layers and models (tfk-patterns)")
    group.addoption(
        "--parity-checks",
        metavar="NAMES",
        help="run only these checks of parametrize_checks: names with commas, or fast",
    )
    group.addoption(
        "--parity-report",
        metavar="FILE",
        type=pathlib.Path,
        help="write the reports of parametrize_checks into a .html or a .json file",
    )


def pytest_configure(config):
    """Declares the marker and checks what needs no collection to be checked."""
    config.addinivalue_line(
        "markers",
        "parity: checks tf.keras layers or models, on two CPU devices where TensorFlow has not "
        "started; tests of parametrize_checks have it",
    )
    path = config.getoption("--parity-report")
    if path and path.suffix not in _WRITERS:
        raise pytest.UsageError(f"--parity-report must be a .html or .json file. Received: {path}")
    config.pluginmanager.register(_Summary(path), "tfk_patterns_summary")


def pytest_generate_tests(metafunc):
    """Checks, once there are checks to choose from, that those in `--parity-checks` are there."""
    words = metafunc.config.getoption("--parity-checks")
    if words and words != "fast" and _loaded() and "check" in metafunc.fixturenames:
        _require_that_they_exist(_names(words))


def pytest_itemcollected(item):
    """Marks the tests of `parametrize_checks`, in time for `-m`."""
    if _check_of(item):
        item.add_marker(pytest.mark.parity)


def pytest_collection_modifyitems(config, items):
    """Leaves out the checks that `--parity-checks` does not name."""
    words = config.getoption("--parity-checks")
    checks = {item: _check_of(item) for item in items if _check_of(item)}
    if not words or not checks:
        return
    left_out = [item for item, check in checks.items() if not _is_named(check, words)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish(session):
    """Tells each check which others run, and makes two devices for those that need them."""
    if session.config.option.collectonly:
        return
    together = {}
    for item in session.items:
        if _check_of(item):
            together.setdefault(item.nodeid.partition("[")[0], {})
            cases = together[item.nodeid.partition("[")[0]]
            cases.setdefault(item.callspec.params["case"], []).append(_check_of(item))
    for checks in (checks for cases in together.values() for checks in cases.values()):
        for check in checks:
            check.keep_only({each.name for each in checks})
    if any(item.get_closest_marker("parity") for item in session.items):
        from tfk_patterns.parity.replication.devices import make_two_devices

        make_two_devices()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Hands on what a check found, in plain values, which pytest-xdist passes between processes."""
    report = yield
    check = _check_of(item)
    if check and check.result and call.when == "call":
        case = item.callspec.params["case"].name
        report.parity = {"case": case, "result": check.result.to_dict()}
        check.result = None
    return report


class _Summary:
    """What all checks of the session found, in the process that reports."""

    def __init__(self, path):
        self._path = path
        self._found = {}

    def pytest_runtest_logreport(self, report):
        found = getattr(report, "parity", None)
        if found:
            key = (report.nodeid.partition("[")[0], found["case"])
            self._found.setdefault(key, []).append(found["result"])

    def pytest_terminal_summary(self, terminalreporter, config):
        if hasattr(config, "workerinput") or not (self._found or self._path):
            return
        terminalreporter.section("parity")
        counts = Counter(result["verdict"] for found in self._found.values() for result in found)
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        terminalreporter.write_line(
            f"{_counted(len(self._found), 'case')}, {_counted(sum(counts.values()), 'check')}: "
            + (verdicts or "none ran")
        )
        for (_, case), found in self._found.items():
            failed = [r["check"] for r in found if r["verdict"] in ("failed", "xpass")]
            if failed:
                terminalreporter.write_line(f"{case}: {', '.join(failed)}", red=True)
        if self._path and self._found:
            self._write()
            terminalreporter.write_line(f"written to {self._path}")

    def _write(self):
        from tfk_patterns.parity import report_file
        from tfk_patterns.parity.report import Report

        reports = [
            Report.from_dict({"case": case, "results": found})
            for (_, case), found in self._found.items()
        ]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        getattr(report_file, _WRITERS[self._path.suffix])(self._path, reports)


def _counted(number, word):
    return f"{number} {word}{'' if number == 1 else 's'}"


def _check_of(item):
    """The check that a test of `parametrize_checks` runs, or `None`."""
    module = _loaded()
    check = getattr(item, "callspec", None) and item.callspec.params.get("check")
    return check if module and isinstance(check, module.SelectedCheck) else None


def _loaded():
    """The module of the checks, where a test or a conftest.py has imported it."""
    return sys.modules.get("tfk_patterns.parity.check")


def _names(words):
    return [name.strip() for name in words.split(",")]


def _is_named(check, words):
    return check.is_fast if words == "fast" else check.name in _names(words)


def _require_that_they_exist(names):
    from tfk_patterns.parity import list_checks

    there = {*list_checks("layer"), *list_checks("model")}
    unknown = [name for name in names if name not in there]
    if unknown:
        raise pytest.Collector.CollectError(  # which pytest-xdist shows, too
            f"--parity-checks: there is no check {', '.join(unknown)}. There are: "
            + ", ".join(sorted(there))
        )
