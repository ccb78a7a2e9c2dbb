"""Check a layer or a model: is it right, and does it do the same in every mode?

Examples:
  python -m tfk_patterns check my_package.cases:CASE
  python -m tfk_patterns check my_package.cases:CASES --checks outputs,config --html report.html
  python -m tfk_patterns check my_package.layers:MyLayer units=3 activation=relu --inputs 8,10,4

Exit status: 0 all checks passed, 1 some failed, 2 called wrongly
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from tensorflow import keras

from tfk_patterns._commands import usage
from tfk_patterns._commands.usage import UsageError
from tfk_patterns.parity import (
    LayerCase,
    ModelCase,
    Report,
    check_layer,
    check_model,
    list_checks,
)
from tfk_patterns.parity.errors import shown
from tfk_patterns.parity.replication.devices import make_two_devices
from tfk_patterns.parity.report_file import write_html, write_json
from tfk_patterns.parity.runner import require_checks

_WIDTH = 110  # where it is no terminal


def add_arguments(parser) -> None:
    """Adds the arguments of the command to a parser."""
    parser.add_argument(
        "target",
        metavar="package.module:NAME",
        help="a LayerCase, a ModelCase, a list of such, or a layer class",
    )
    parser.add_argument(
        "arguments",
        nargs="*",
        default=[],
        metavar="name=value",
        help="what to make the layer class with",
    )
    parser.add_argument(
        "--inputs",
        action="append",
        metavar="8,10,4",
        help="shape, batch first, of the random floats to call a layer class with; "
        "once for each input",
    )
    parser.add_argument(
        "--checks", metavar="NAMES", help="names with commas, or fast; all if not given"
    )
    parser.add_argument("--json", metavar="FILE", help="write the reports as JSON, too")
    parser.add_argument("--html", metavar="FILE", help="write the reports as a page, too")


def run(given) -> int:
    """Prints a report for each case and returns the exit status.

    Raises:
        UsageError: The arguments do not fit together, or name what is not there.
    """
    from rich.console import Console

    for option in ("json", "html"):
        usage.check_writable(f"--{option}", getattr(given, option))
    if given.json and given.json == given.html:
        raise UsageError(f"--json and --html must be two files. Received: {given.json}")
    make_two_devices()
    cases = _cases(usage.found(given.target), given)
    selected = _selected(given.checks, cases)
    console = Console()
    console = console if console.is_terminal else Console(width=_WIDTH)
    reports, is_whole = [], False
    try:
        for case in cases:
            if selected[type(case)] == []:
                none = f"{case.name}: not checked, since none of these checks is for it"
                console.print(none, "", markup=False, highlight=False)
                continue
            reports.append(_checked(case, selected[type(case)]))
            console.print(reports[-1], "")
        is_whole = True
    finally:  # what was found before a case that cannot be checked is not lost
        if given.json:
            write_json(given.json, reports, is_whole)
        if given.html:
            write_html(given.html, reports, is_whole)
    return 0 if all(report.passed for report in reports) else 1


def _checked(case: LayerCase | ModelCase, checks: Any) -> Report:
    check = check_layer if isinstance(case, LayerCase) else check_model
    try:
        return check(case, checks=checks, on_fail="report")
    except (TypeError, ValueError) as error:  # what is wrong with the layer itself is in the report
        raise UsageError(f"{case.name} cannot be checked: {error}") from error


def _cases(thing: Any, given) -> list[LayerCase | ModelCase]:
    if isinstance(thing, type) and issubclass(thing, keras.layers.Layer):
        return [_case_of_class(thing, given)]
    for option, value in (("--inputs", given.inputs), ("name=value", given.arguments)):
        if value:
            raise UsageError(f"{option} is for a layer class. Received: {_shown(thing)}")
    cases = [thing] if isinstance(thing, LayerCase | ModelCase) else thing
    is_list = isinstance(cases, list | tuple) and len(cases) > 0
    if not is_list or not all(isinstance(case, LayerCase | ModelCase) for case in cases):
        raise UsageError(
            f"{given.target} must be a LayerCase, a ModelCase, a list of such, or a layer class. "
            f"Received: {_shown(thing)}"
        )
    names = [case.name for case in cases]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UsageError(
            f"cases must have different names, which `name=` gives. Received: {', '.join(repeated)}"
        )
    return list(cases)


def _case_of_class(layer_class: type, given) -> LayerCase:
    if issubclass(layer_class, keras.Model):
        raise UsageError(f"{given.target} is a model, which must be compiled: write a ModelCase")
    if not given.inputs:
        raise UsageError(f"{given.target} is a layer class: give it inputs, as in --inputs 8,10,4")
    shapes = [usage.shape(text) for text in given.inputs]
    draws = np.random.default_rng(0)
    inputs = [draws.normal(size=size).astype("float32") for size in shapes]
    make = functools.partial(layer_class, **usage.keyword_arguments(given.arguments))
    try:
        make()
    except Exception as error:
        words = " ".join(given.arguments)
        raise UsageError(
            f"{layer_class.__name__} cannot be made with "
            f"{words or 'no arguments (give them as name=value)'}: {error}"
        ) from error
    return LayerCase(make, inputs if len(inputs) > 1 else inputs[0], name=layer_class.__name__)


def _shown(thing: Any) -> str:
    return f"a class, {thing.__name__}" if isinstance(thing, type) else shown(thing, 100)


def _selected(words: str | None, cases: Sequence) -> dict[type, Any]:
    """The checks to run, by the type of a case; `None` for all."""
    kinds = {LayerCase: "layer", ModelCase: "model"}
    if words in (None, "fast"):
        return dict.fromkeys(kinds, words)
    names = [name.strip() for name in words.split(",") if name.strip()]
    try:
        require_checks(names, {kinds[type(case)] for case in cases})
    except ValueError as error:
        raise UsageError(str(error)) from error
    return {
        case: [name for name in names if name in list_checks(kind)] for case, kind in kinds.items()
    }
