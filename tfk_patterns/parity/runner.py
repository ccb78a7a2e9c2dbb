"""Running the checks: at once, or as one test each."""

import importlib.util
import sys
from collections.abc import Callable, Iterable

from tfk_patterns import _validate
from tfk_patterns.parity.case import LayerCase
from tfk_patterns.parity.check import Check, SelectedCheck, Verdicts
from tfk_patterns.parity.checks import LAYER_CHECKS
from tfk_patterns.parity.report import ParityError, Report
from tfk_patterns.parity.subject import Subject

_KINDS = {"layer": LAYER_CHECKS}


def list_checks(kind: str = "layer") -> tuple[str, ...]:
    """The names of the checks there are, in the order in which they run.

    Args:
        kind: `"layer"`.

    Raises:
        ValueError: There are no checks of that kind.

    Example:

    >>> from tfk_patterns.parity import list_checks
    >>> list_checks()
    ('outputs', 'masks', 'losses', 'metrics', 'variables', 'gradients', 'fit')
    """
    return tuple(check.name for check in _KINDS[_validate.one_of("kind", kind, _KINDS)])


def check_layer(
    case: LayerCase, *, checks: str | Iterable[str] | None = None, on_fail: str = "raise"
) -> Report:
    """Checks that a layer does the same in every mode.

    Eager mode, the graph (`tf.function`) and XLA (`jit_compile=True`) start from equal weights and
    equal random state, and are compared over three calls in inference, three in training and four
    steps of `fit`: outputs, masks, losses, metrics, variables, gradients.

    What cannot be compared never passes in silence. Random draws are not the same in XLA, and those
    from TensorFlow's global state (`tf.random.normal`; Keras 2's own `Dropout`) in no two modes:
    a check that for this reason has compared no mode in training, or none in inference, is
    `skipped`. One that has left out XLA alone, for draws or for want of a kernel, says so.

    Args:
        case: The layer and its data.
        checks: Names of the checks to run, or `"fast"` for the quick ones; all by default.
        on_fail: `"raise"`, or `"report"` to have failures in the report only.

    Returns:
        The `Report`.

    Raises:
        ParityError: A check failed, or passed against expectation, and `on_fail` is `"raise"`.
        TypeError: `case` is no `LayerCase`, or makes no layer of this Keras generation.
        ValueError: A check in `checks` or in `case.expected_failures` does not exist.

    Example:

    >>> import numpy as np
    >>> from tensorflow import keras
    >>> from tfk_patterns.parity import LayerCase, check_layer
    >>> case = LayerCase(lambda: keras.layers.Dense(3), np.ones((2, 4), "float32"))
    >>> check_layer(case).passed
    True
    """
    _check_case("case", case)
    _validate.one_of("on_fail", on_fail, ("raise", "report"))
    selected = _select(checks)
    verdicts = Verdicts(Subject(case), selected)
    names = _with_progress(case.name, [check.name for check in selected])
    report = Report(case.name, tuple(verdicts[name] for name in names))
    if on_fail == "raise" and not report.passed:
        raise ParityError(report)
    return report


def parametrize_checks(
    cases: Iterable[LayerCase], *, checks: str | Iterable[str] | None = None
) -> Callable:
    """Decorator that makes one pytest test of each case and check.

    The test takes `(case, check)` and calls `check(case)`. The checks of a case share its
    observations; with pytest-xdist and `--dist loadgroup` they run in one worker.

    Args:
        cases: The cases; their names, which must differ, make the test ids.
        checks: Names of the checks to run, or `"fast"` for the quick ones; all by default.

    Raises:
        TypeError: Something in `cases` is no `LayerCase`.
        ValueError: Two cases have one name, or a check does not exist.

    Example:

    >>> import numpy as np
    >>> from tensorflow import keras
    >>> from tfk_patterns.parity import LayerCase, parametrize_checks
    >>> cases = [LayerCase(keras.layers.ReLU, np.ones((2, 4), "float32"))]
    >>> @parametrize_checks(cases)
    ... def test_layers(case, check):
    ...     check(case)
    """
    import pytest

    if isinstance(cases, LayerCase):
        raise _validate.type_error("cases", "a list of LayerCase", cases)
    cases = tuple(cases)
    for case in cases:
        _check_case("cases", case)
    names = [case.name for case in cases]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise _validate.value_error(
            "cases", "cases with different names, which `name=` gives", repeated
        )
    selected = _select(checks)
    parameters = [
        pytest.param(
            case,
            SelectedCheck(check.name, selected, Subject),
            id=f"{case.name}-{check.name}",
            marks=_in_one_worker(case),
        )
        for case in cases
        for check in selected
    ]
    return pytest.mark.parametrize(("case", "check"), parameters)


def _select(checks: str | Iterable[str] | None) -> tuple[Check, ...]:
    if checks is None:
        return LAYER_CHECKS
    if checks == "fast":
        return tuple(check for check in LAYER_CHECKS if check.fast)
    if isinstance(checks, str):
        raise _validate.type_error("checks", "a list of names of checks, or 'fast'", checks)
    names = [_known_check("checks", name) for name in checks]
    if not names:
        raise _validate.value_error("checks", "at least one name of a check", names)
    return tuple(check for check in LAYER_CHECKS if check.name in names)


def _with_progress(title: str, names: list[str]) -> Iterable[str]:
    """The names, with a bar on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        return names
    from rich.console import Console
    from rich.progress import track

    return track(names, title, console=Console(stderr=True), transient=True)


def _check_case(argument: str, case: object) -> None:
    if not isinstance(case, LayerCase):
        raise _validate.type_error(argument, "made of LayerCase", case)
    for name in case.expected_failures:
        _known_check("expected_failures", name)


def _known_check(argument: str, name: str) -> str:
    return _validate.one_of(argument, name, list_checks())


def _in_one_worker(case: LayerCase) -> list:
    """The mark by which pytest-xdist keeps tests together, where it is installed."""
    if importlib.util.find_spec("xdist") is None:
        return []
    import pytest

    return [pytest.mark.xdist_group(case.name)]
