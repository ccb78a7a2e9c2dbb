"""Reports in a file: a page to read, or JSON for programs."""

import json
import os
import pathlib
from collections.abc import Sequence

import tensorflow as tf

import tfk_patterns
from tfk_patterns import _keras, _render
from tfk_patterns.parity.report import Findings, Report

SCHEMA_VERSION = 1  # of docs/report.schema.json


def write_html(path: str | os.PathLike, reports: Sequence[Report], is_whole: bool = True) -> None:
    """Writes a page that needs nothing else, the reports with failures first.

    `is_whole` is false where there should be more reports: then nothing has passed as a whole.
    """
    failed = [report for report in reports if not report.passed]
    passed = [report for report in reports if report.passed]
    sections = [
        _render.Section(
            f"{report.case}: {report.summary}", Findings(report), is_open=report in failed
        )
        for report in [*failed, *passed]
    ]
    title = "All cases passed" if passed else "No case was checked"
    title = f"{len(failed)} of {len(reports)} cases failed" if failed else title
    title = title if is_whole else f"Broken off after {len(passed)} passed, {len(failed)} failed"
    versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
    _write(path, _render.to_page(title, versions, sections))


def write_json(path: str | os.PathLike, reports: Sequence[Report], is_whole: bool = True) -> None:
    """Writes what `docs/report.schema.json` describes; `is_whole` as in `write_html`."""
    data = {
        "schema_version": SCHEMA_VERSION,
        "versions": _versions(),
        "passed": is_whole and bool(reports) and all(report.passed for report in reports),
        "reports": [report.to_dict() for report in reports],
    }
    _write(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def _versions() -> dict[str, str]:
    package, version = _keras.installed_package()
    return {
        "tfk-patterns": tfk_patterns.__version__,
        "tensorflow": tf.__version__,
        package: version,
    }


def _write(path: str | os.PathLike, text: str) -> None:
    pathlib.Path(path).write_text(text, encoding="utf-8")
