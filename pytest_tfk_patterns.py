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
    """Declares the markers and checks what needs no collection to be checked."""
    config.addinivalue_line(
        "markers",
        "parity: checks tf.keras layers or models, on two CPU devices where TensorFlow has not "
        "started; tests of parametrize_checks have it",
    )
    config.addinivalue_line("markers", "xdist_group(name): tests that pytest-xdist keeps together")
    words = config.getoption("--parity-checks")
    if words is not None and not _names(words):
        raise pytest.UsageError("--parity-checks must be names of checks with commas, or fast")
    path = config.getoption("--parity-report")
    config.pluginmanager.register(_Summary(path and _writable(path)), "tfk_patterns_summary")


def _writable(path):
    """The absolute path of a report that can be written; makes its folder."""
    if path.suffix not in _WRITERS:
        raise pytest.UsageError(f"--parity-report must be a .html or .json file. Received: {path}")
    path = path.absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise pytest.UsageError(f"--parity-report cannot be written: {error}") from error
    return path


def pytest_generate_tests(metafunc):
    """Checks, once there are checks to choose from, that those in `--parity-checks` are there."""
    words = metafunc.config.getoption("--parity-checks")
    if not words or words == "fast" or not _loaded() or "check" not in metafunc.fixturenames:
        return
    from tfk_patterns.parity.runner import require_checks

    try:
        require_checks(_names(words))
    except ValueError as error:  # an error of the collection is what pytest-xdist shows, too
        raise pytest.Collector.CollectError(f"--parity-checks: {error}") from error


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
    left_out = {item for item, check in checks.items() if not _is_named(check, words)}
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish(session):
    """Tells each check which others run, and makes two devices for those that need them."""
    if session.config.option.collectonly:
        return
    together = {}
    for item in session.items:
        if _check_of(item):
            key = item.nodeid.partition("[")[0], item.callspec.params["case"]
            together.setdefault(key, []).append(_check_of(item))
    for checks in together.values():
        for check in checks:
            check.keep_only({each.name for each in checks})
    if any(item.get_closest_marker("parity") for item in session.items):
        from tfk_patterns.parity.replication.devices import make_two_devices

        make_two_devices()


def pytest_runtest_setup(item):
    """Lets checks share what they have seen only where all other parameters are the same."""
    if _check_of(item):
        _check_of(item).circumstances = _key(item)
        _check_of(item).result = None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Hands on what a check found, in plain values, which pytest-xdist passes between processes."""
    outcome = yield
    report = outcome.get_result()
    check = _check_of(item)
    if check and (call.when == "call" or report.outcome != "passed"):
        function, others = _key(item)
        report.parity = {
            "case": item.callspec.params["case"].name,
            "in": function + (f"[{', '.join(f'{name} {i}' for name, i in others)}]" * bool(others)),
            "result": _found(check, report),
        }


def _found(check, report):
    """What the check found, in plain values, or what became of the test without it."""
    result = _result(check.name, "skipped", "the test did not call the check")
    if check.result and (check.result.is_failure or not report.failed):
        result = check.result.to_dict()
    elif report.failed:
        result = _result(check.name, "failed")
        result["message"] = f"{report.when} of the test: {_last_line(report)}"
        result["where"] = report.nodeid
    elif report.skipped:
        result["reason"] = _last_line(report)
    expected = getattr(report, "wasxfail", None)  # by a mark of pytest
    if expected is not None and report.skipped:
        result.update(verdict="xfail", reason=expected)
    return result


def _result(check, verdict, reason=""):
    names = ("layer", "message", "where", "hint", "link")
    numbers = ("max_abs_error", "max_rel_error")
    texts = {"check": check, "verdict": verdict, "reason": reason, **dict.fromkeys(names, "")}
    return {**texts, **dict.fromkeys(numbers)}


def _last_line(report):
    """Why a test failed or was skipped, in one line."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    return " ".join(text.split())[:300]


class _Summary:
    """What all checks of the session found, in the process that reports."""

    def __init__(self, path):
        self._path = path
        self._found = {}

    def pytest_runtest_logreport(self, report):
        found = getattr(report, "parity", None)
        if found:
            self._found.setdefault((found["in"], found["case"]), []).append(found["result"])

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
        for case, found in self._named():
            failed = [r["check"] for r in found if r["verdict"] in ("failed", "xpass")]
            if failed:
                terminalreporter.write_line(f"{case}: {', '.join(failed)}", red=True)
        if self._path:
            self._write()
            terminalreporter.write_line(f"written to {self._path}")

    def _named(self):
        """The results of each case, with the test in its name where another has the same case."""
        cases = Counter(case for _, case in self._found)
        for (test, case), found in self._found.items():
            yield (case if cases[case] == 1 else f"{case} in {test}"), found

    def _write(self):
        from tfk_patterns.parity import report_file
        from tfk_patterns.parity.report import Report

        reports = [
            Report.from_dict({"case": case, "results": _in_order(found)})
            for case, found in self._named()
        ]
        getattr(report_file, _WRITERS[self._path.suffix])(self._path, reports)


def _in_order(found):
    """The results in the order of the checks: pytest-xdist ends them in any other."""
    from tfk_patterns.parity import list_checks

    names = {result["check"] for result in found}
    order = list_checks("model" if names <= set(list_checks("model")) else "layer")
    return sorted(found, key=lambda result: order.index(result["check"]))


def _key(item):
    """The test function, and the places of its parameters other than case and check."""
    others = (pair for pair in item.callspec.indices.items() if pair[0] not in ("case", "check"))
    return item.nodeid.partition("[")[0], tuple(sorted(others))


def _counted(number, word):
    return f"{number} {word}{'' if number == 1 else 's'}"


def _check_of(item):
    """The check that a test of `parametrize_checks` runs, or `None`."""
    module = _loaded()
    check = getattr(item, "callspec", None) and item.callspec.params.get("check")
    return check if module and isinstance(check, module.SelectedCheck) else None


def _loaded():
    """The module of the checks, where a test or a conftest.py has imported it."""
    return sys.modules.get("tfk_patterns.parity.selected_check")


def _names(words):
    return [name.strip() for name in words.split(",") if name.strip()]


def _is_named(check, words):
    return check.is_fast if words == "fast" else check.name in _names(words)
