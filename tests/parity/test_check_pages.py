"""Each check's docstring explains it, with a broken layer that fails it and a mended one."""

import pytest

from tests.loading import load
from tfk_patterns import _keras
from tfk_patterns.parity import check_layer, check_model

RUN = {"layer": check_layer, "model": check_model}


check_pages = load("tools/check_pages.py")
each_check = pytest.mark.parametrize(
    ("kind", "check"),
    [
        pytest.param(kind, check, id=f"{kind}-{check.name}")
        for kind, checks in check_pages.CHECKS.items()
        for check in checks
    ],
)


def _case(code):
    namespace = {"__name__": "example"}
    exec(compile(check_pages.PREFACE + code, "<example>", "exec"), namespace)
    return namespace["case"]


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        pytest.param(
            kind, check, id=f"{kind}-{check.name}", marks=[pytest.mark.slow] * (kind == "model")
        )
        for kind, checks in check_pages.CHECKS.items()
        for check in checks
    ],
)
def test_the_broken_example_fails_and_the_mended_one_passes(kind, check):
    parts = check_pages.explained(check)
    if parts.generation in (None, _keras.GENERATION):
        (result,) = RUN[kind](_case(parts.broken), checks=[check.name], on_fail="report").results
        assert result.verdict == "failed", result
    (result,) = RUN[kind](_case(parts.mended), checks=[check.name], on_fail="report").results
    assert result.verdict == "passed", result


@pytest.mark.slow
@each_check
def test_the_mended_example_passes_every_check(kind, check):
    RUN[kind](_case(check_pages.explained(check).mended))


def test_the_pages_are_those_of_the_docstrings():
    written = {path: path.read_text("utf-8") for path in check_pages.FOLDER.rglob("*.md")}
    assert written == check_pages.pages(), "run `python tools/check_pages.py`"


@each_check
def test_a_page_fits_a_screen(kind, check):
    page = (check_pages.FOLDER / kind / f"{check.name}.md").read_text("utf-8")
    assert len(page.splitlines()) <= 75
    assert "https://" in check_pages.explained(check).bug
