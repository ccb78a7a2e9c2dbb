"""Errors that a user's code raises, told to a person."""

import contextlib
import linecache
import re
import sysconfig
import textwrap
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfk_patterns import _keras
from tfk_patterns.parity.outcome import Failure, Skip

_LIBRARIES = tuple(
    str(Path(folder).resolve())
    for folder in (
        *map(sysconfig.get_path, ("stdlib", "purelib", "platlib")),
        Path(__file__).parent,
        Path(_keras.__file__).parent,
    )
)

# Not all names in angle brackets: what is typed into an interpreter has such a name, too.
_GENERATED = ("<frozen ", "<string>", "<__", "<decorator-gen", "<attrs generated")


def in_one_line(error: BaseException, width: int = 300) -> str:
    """Type and text of an error, cut in the middle to what a report has room for.

    Keras' long messages begin with what it did, and often end with the error that it met.
    """
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", _own_words(error)).split())  # Keras 3 colours it
    if len(text) > width:
        end = text[-width // 3 :].partition(" ")[2]
        text = f"{textwrap.shorten(text, width - len(end), placeholder='')} ... {end}"
    return f"{type(error).__name__}: {text}"


def _own_words(error: BaseException) -> str:
    """What the error said before AutoGraph and Keras, perhaps by turns, put their words around."""
    around = (
        rf"in user code:\n.*?\n\s*{type(error).__name__}: (.*)",
        r"Exception encountered when calling [^\n]*\n\s*\n(.*)",
    )
    text, longer = str(error).strip(), True
    while longer:
        found = [re.match(pattern, text, re.DOTALL) for pattern in around]
        longer = [match.group(1).strip() for match in found if match]
        text = longer[0] if longer else text
    text = re.split(r"\n\s*(?:Call arguments|Arguments) received by", text)[0]
    return _without_nodes(text)


def _without_nodes(text: str) -> str:
    """What TensorFlow says of an operation, without where that was in the graph."""
    for where in (
        r"Graph execution error:\s*Detected at node [^\n]*\n(?:\s*File [^\n]*\n|\s*\n)*",
        r"\{\{function_node [^}]*\}\}",
        r"\[\[\{\{node [^}]*\}\}\]\]",
        r"\btf2xla conversion failed while converting .*",
        r"\bYou can attempt the following resolutions to the problem: .*",
        r"\[Op:[^\]]+\](?: name:.*)?$",
    ):
        text = re.sub(where, "", text, flags=re.DOTALL).strip()
    return text


def users_line(error: BaseException) -> str:
    """The last line of the traceback that is in no library, as `layers.py:12: x = x.numpy()`.

    An empty string where there is none. AutoGraph converts code, and then names the original line
    in its message only.
    """
    converted = re.findall(r'File "([^"]+)", line (\d+), in ', str(error))
    frames = [(name, int(line)) for name, line in converted]
    frames += [(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__)]
    for filename, line in reversed(frames):
        if line and not _is_library(filename):
            return written(filename, line)
    return ""


def line_of_frame(frame) -> str:
    """The line that a frame executes, as from `users_line`; empty where it is a library's."""
    filename, line = frame.f_code.co_filename, frame.f_lineno
    return "" if _is_library(filename) else written(filename, line)


def is_said(error: BaseException | None) -> bool:
    """Whether a layer raised the error itself, by `raise` or `assert`, to say what it needs."""
    if error is None:
        return False
    frames = [(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__)]
    converted = re.findall(r'File "([^"]+)", line (\d+), in ', str(error))  # by AutoGraph
    filename, line = (converted or frames)[-1]
    code = linecache.getline(filename, int(line)).strip()
    is_tensorflow = "/tensorflow/python/" in Path(filename).as_posix()
    return code.startswith(("raise ", "assert ")) and not is_tensorflow


MADE_IN_CALL = (
    "Make all weights and the layers inside in `__init__` or `build`, as attributes: what `call` "
    "makes is new in each call, is never trained or saved, and cannot be traced."
)


def makes_state(error: BaseException) -> bool:
    """Whether an error says that `call` makes variables, its own or those of a layer it makes."""
    return bool(re.search(r"singleton tf\.Variables|cannot add new elements of state", str(error)))


def shown(value: Any, width: int = 80) -> str:
    """A value as text, cut to what a report has room for."""
    text = repr(value)
    return text if len(text) <= width else f"{text[: width - 4]} ..."


def shown_apart(one: str, other: str, width: int = 60) -> tuple[str, str]:
    """Two texts, each cut to what a report has room for, from a little before they differ."""
    pairs = enumerate(zip(one, other, strict=False))
    common = next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))
    start = max(0, common - width // 3) if max(len(one), len(other)) > width else 0

    def cut(text: str) -> str:
        part = text[start : start + width]
        return ("... " if start else "") + part + (" ..." if text[start + width :] else "")

    return cut(one), cut(other)


@contextlib.contextmanager
def blamed(message: str, where: str = "", hint: str = "", check: str | None = None) -> Iterator:
    """Makes a `Failure` of an error raised inside: what was tried, the error, the user's line."""
    try:
        yield
    except (Failure, Skip):
        raise
    except Exception as error:
        raise failure_of(error, message, where, hint, check) from error


def failure_of(
    error: Exception, message: str, where: str = "", hint: str = "", check: str | None = None
) -> Failure:
    """The `Failure` that says what was tried, and which error the user's code raised."""
    line = users_line(error)
    place = ", ".join(part for part in (where, f"line {line}" if line else "") if part)
    failure = Failure(f"{message}: {in_one_line(error)}", place, hint, check=check)
    failure.__cause__ = error
    return failure


def written(filename: str, line: int) -> str:
    """A line of a file, as `layers.py:12: x = x.numpy()`."""
    return f"{Path(filename).name}:{line}: {linecache.getline(filename, line).strip()}"


def _is_library(filename: str) -> bool:
    if filename.startswith(_GENERATED) or "__autograph_generated_file" in filename:
        return True
    return str(Path(filename).resolve()).startswith(_LIBRARIES)
