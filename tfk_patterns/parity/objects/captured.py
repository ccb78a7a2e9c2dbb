"""What functions hold on to: closures, default arguments, global variables."""

import dis
import functools
import sys
import types
from collections.abc import Iterator
from typing import Any

from tensorflow import keras

_KERAS = keras.layers.Layer.__module__.split(".")[0]
LIBRARIES = {*sys.stdlib_module_names, "numpy", "tensorflow", _KERAS}
"""The first part of the names of modules whose code is not looked into."""


def is_of_a_library(thing: Any) -> bool:
    """Whether a class or function is Python's, NumPy's, TensorFlow's or Keras'."""
    return (getattr(thing, "__module__", None) or "builtins").split(".")[0] in LIBRARIES


def own_classes(thing: Any) -> list[type]:
    """The classes of an object that are not a library's, the most special first."""
    return [cls for cls in type(thing).__mro__ if not is_of_a_library(cls)]


def function_in(value: Any) -> types.FunctionType | None:
    """The Python function in an entry of a class, if there is one."""
    if isinstance(value, property):
        value = value.fget
    elif isinstance(value, staticmethod | classmethod):
        value = value.__func__
    elif isinstance(value, functools.cached_property):
        value = value.func
    return value if isinstance(value, types.FunctionType) else None


def things_of(function: types.FunctionType) -> Iterator[tuple[str, Any, bool]]:
    """What the code of a function can read besides its arguments.

    Each with a name for it, and whether it is a global variable.
    """
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for name, cell in cells:
        try:
            yield f"{name} (in the closure of {function.__qualname__})", cell.cell_contents, False
        except ValueError:  # an empty cell
            continue
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for number, value in enumerate(defaults, start=1):
        yield f"default argument {number} of {function.__qualname__}", value, False
    names, attributes = _names(function.__code__)
    for name in sorted(names & function.__globals__.keys()):
        value = function.__globals__[name]
        if not isinstance(value, types.ModuleType):
            yield f"{function.__module__}.{name}", value, True
        elif value.__name__.split(".")[0] not in LIBRARIES:
            members = vars(value)
            for attribute in sorted(attributes & members.keys()):
                yield f"{value.__name__}.{attribute}", members[attribute], True


@functools.lru_cache(maxsize=1024)
def _names(code: types.CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """The globals, and the attributes of anything, that a function and those in it name."""
    names, attributes = set(), set()
    for step in dis.get_instructions(code):
        if step.opname.endswith("_GLOBAL"):
            names.add(step.argval)
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR"):
            attributes.add(step.argval)
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            more_names, more_attributes = _names(inner)
            names |= more_names
            attributes |= more_attributes
    return frozenset(names), frozenset(attributes)
