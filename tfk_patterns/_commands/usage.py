"""Words of the command line: what they name, and what is wrong with them."""

import ast
import importlib
import os
import pathlib
import sys
import traceback
from collections.abc import Iterable
from typing import Any


class UsageError(Exception):
    """A command was called wrongly; the message is one line."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


def found(target: str) -> Any:
    """What `package.module:NAME` names.

    Raises:
        UsageError: It has another form, or there is no such module or name, or the module fails.
    """
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        raise UsageError(f"expected package.module:NAME. Received: {target}")
    if module_name.endswith(".py") or os.sep in module_name:
        raise UsageError(f"expected a module, not a file: {_as_module(module_name)}:{name}")
    thing = _imported(module_name)
    for part in name.split("."):
        if not hasattr(thing, part):
            raise UsageError(f"there is no `{name}` in {module_name}")
        thing = getattr(thing, part)
    return thing


def shape(text: str) -> tuple[int, ...]:
    """The shape that words such as `8,10,4` say.

    Raises:
        UsageError: They are no shape.
    """
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise UsageError(f"--inputs must be sizes with commas, as in 8,10,4. Received: {text}")
    return sizes


def keyword_arguments(words: Iterable[str]) -> dict[str, Any]:
    """The arguments that words such as `units=3` give; what is no Python literal is a string.

    Raises:
        UsageError: A word is no `name=value`.
    """
    arguments = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (equals and name.isidentifier()):
            raise UsageError(f"expected name=value for the constructor. Received: {word}")
        if name in arguments:
            raise UsageError(f"{name} is given twice")
        try:
            arguments[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            arguments[name] = value
    return arguments


def check_writable(option: str, path: str | None) -> None:
    """Checks, before anything long begins, that a file can be written.

    Raises:
        UsageError: Its folder is not there, or it is itself a folder.
    """
    if path is None:
        return
    folder = pathlib.Path(path).absolute().parent
    if pathlib.Path(path).is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"{option} must be a file in a folder that is there. Received: {path}")


def _as_module(path: str) -> str:
    """How to name the module that is in a file below this folder."""
    parts = pathlib.PurePath(os.path.normpath(path)).with_suffix("").parts
    is_here = all(part.isidentifier() for part in parts)
    return f"write {'.'.join(parts)}" if is_here else "write package.module"


def _imported(name: str):
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(f"{missing}."):
            raise UsageError(f"there is no module `{name}` here or installed") from error
        raise _failed(name, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error


def _failed(name: str, error: BaseException) -> UsageError:
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{last.filename}:{last.lineno}"
    if isinstance(error, SyntaxError):  # which says itself where, and the traceback does not
        where, error = f"{error.filename}:{error.lineno}", SyntaxError(error.msg)
    return UsageError(f"{name} cannot be imported: {type(error).__name__}: {error} ({where})")
