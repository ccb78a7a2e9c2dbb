"""Writes one page for each check into `docs/checks/`, from the docstring of the check.

    python tools/check_pages.py

A docstring says in its first line what the check asks for; then how; then, after `Bug:`, what it
comes from, with a link; then a broken layer or model and the mended one, each as a case.
"""

import dataclasses
import inspect
import pathlib
import re
import textwrap

from tfk_patterns.parity.check import Check
from tfk_patterns.parity.checks import LAYER_CHECKS
from tfk_patterns.parity.checks.model import MODEL_CHECKS

FOLDER = pathlib.Path(__file__).parents[1] / "docs" / "checks"
CHECKS = {"layer": LAYER_CHECKS, "model": MODEL_CHECKS}
PREFACE = """\
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tfk_patterns.parity import LayerCase, ModelCase, check_layer, check_model

rng = np.random.default_rng(0)
steps = rng.normal(size=(8, 5, 3)).astype("float32")  # (batch, steps, features)
mask = np.arange(5) < np.array([[5], [3], [1], [4], [5], [2], [1], [5]])
x = rng.normal(size=(32, 4)).astype("float32")
y = x[:, :1] - x[:, 1:2]
"""
_DOCSTRING = re.compile(
    r"(?P<summary>.*?)\n\n(?P<text>.*?)\n*Bug:\s*(?P<bug>.*?)\n\n"
    r"Broken(?:, on Keras (?P<generation>[23]))?::\n(?P<broken>.*?)\n\nMended::\n(?P<mended>.*)",
    re.DOTALL,
)
_PAGE = """\
# {name}

{summary}

**The bug.** {bug}

## Broken{where}

```python
{broken}
```

## Mended

```python
{mended}
```

`{function}(case, checks=["{name}"])` runs this check alone{fast}.
[The list of checks](../README.md#what-the-examples-begin-with) has what the examples begin with.
More: <{link}>.{note}
"""
_TWO_DEVICES = """

It needs two CPU devices, which the pytest plugin and the command line make, and a script makes as
the README of the project says; with one it is skipped."""
_INDEX = """\
# The checks

`python tools/check_pages.py` writes these pages from the docstrings of the checks; the tests run
every example: the broken one fails its check, the mended one passes it.

{tables}

## What the examples begin with

```python
{preface}```
"""


@dataclasses.dataclass(frozen=True)
class Explained:
    """What the docstring of a check says, part by part.

    `generation` is the Keras on which the broken example is broken, `None` for both.
    """

    summary: str
    text: str
    bug: str
    broken: str
    mended: str
    generation: int | None


def explained(check: Check) -> Explained:
    """The parts of a check's docstring.

    Raises:
        ValueError: A part is missing.
    """
    found = _DOCSTRING.fullmatch(inspect.getdoc(check.function).strip())
    if found is None:
        raise ValueError(
            f"the docstring of `{check.name}` must be a line, text, `Bug:`, `Broken::`, `Mended::`"
        )
    parts = {name: (value or "").strip("\n") for name, value in found.groupdict().items()}
    generation = int(parts.pop("generation") or 0) or None
    code = {name: _dense(parts.pop(name)) for name in ("broken", "mended")}
    return Explained(**parts, **code, generation=generation)


def _dense(code: str) -> str:
    """The code of an example with one empty line at most between its parts."""
    return re.sub(r"\n{3,}", "\n\n", textwrap.dedent(code))


def pages() -> dict[pathlib.Path, str]:
    """The text of each page, by its path."""
    found = {FOLDER / "README.md": _index()}
    for kind, checks in CHECKS.items():
        for check in checks:
            found[FOLDER / kind / f"{check.name}.md"] = _page(kind, check)
    return found


def _page(kind: str, check: Check) -> str:
    parts = explained(check)
    return _PAGE.format(
        name=check.name,
        function=f"check_{kind}",
        summary="\n\n".join(filter(None, (parts.summary, parts.text))),
        bug=re.sub(r"(https?://\S+[^\s.,;:)])", r"<\1>", parts.bug),
        where=f", on Keras {parts.generation}" if parts.generation else "",
        broken=parts.broken,
        mended=parts.mended,
        fast=', as does `checks="fast"` with others' if check.fast else "",
        link=check.link,
        note=_TWO_DEVICES if check.name == "replicas" else "",
    )


def _index() -> str:
    tables = [
        f"## Of a {kind}\n\n| check | what it asks for |\n| --- | --- |\n"
        + "\n".join(f"| [{c.name}]({kind}/{c.name}.md) | {explained(c).summary} |" for c in checks)
        for kind, checks in CHECKS.items()
    ]
    return _INDEX.format(tables="\n\n".join(tables), preface=PREFACE)


if __name__ == "__main__":
    written = pages()
    for stale in set(FOLDER.rglob("*.md")) - written.keys():
        stale.unlink()
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
