"""Running the checks: at once, or as one test each."""

import importlib.util
import sys
from collections.abc import Callable, Iterable

from tfk_patterns import _keras, _validate
from tfk_patterns.parity.case import LayerCase
from tfk_patterns.parity.check import Check, Verdicts
from tfk_patterns.parity.checks import LAYER_CHECKS
from tfk_patterns.parity.checks.model import MODEL_CHECKS
from tfk_patterns.parity.checks.model.custom_layers import custom_layers, with_those_on_layers
from tfk_patterns.parity.model_case import OF_LAYER, ModelCase
from tfk_patterns.parity.model_subject import ModelSubject
from tfk_patterns.parity.report import ParityError, Report
from tfk_patterns.parity.selected_check import SelectedCheck
from tfk_patterns.parity.subject import Subject

_CHECKS = {"layer": LAYER_CHECKS, "model": MODEL_CHECKS}
_CASES = {"layer": LayerCase, "model": ModelCase}
_SUBJECTS = {"layer": Subject, "model": ModelSubject}


def list_checks(kind: str = "layer") -> tuple[str, ...]:
    """The names of the checks there are, in the order in which they run.

    Args:
        kind: `"layer"` or `"model"`.

    Raises:
        ValueError: There are no checks of that kind.

    Example:

    >>> from tfk_patterns.parity import list_checks
    >>> "outputs" in list_checks(), "logged_loss" in list_checks("model")
    (True, True)
    """
    return tuple(check.name for check in _CHECKS[_validate.one_of("kind", kind, _CHECKS)])


def require_checks(names: Iterable[str], kinds: Iterable[str] = ("layer", "model")) -> None:
    """Checks words of a user's, whether each names a check of one of some kinds.

    Raises:
        ValueError: There are none, or one names no check.
    """
    names = list(names)
    there = {name for kind in kinds for name in list_checks(kind)}
    unknown = [name for name in names if name not in there]
    if unknown or not names:
        missing = f"there is no check {', '.join(unknown)}" if unknown else "no check is named"
        raise ValueError(f"{missing}. There are: {', '.join(sorted(there))}")


def check_layer(
    case: LayerCase, *, checks: str | Iterable[str] | None = None, on_fail: str = "raise"
) -> Report:
    """Checks that a layer is right, and does the same in every mode.

    Eager mode, the graph (`tf.function`) and XLA (`jit_compile=True`) start from equal weights and
    equal random state, and are compared over three calls in inference, three in training and four
    steps of `fit`: outputs, masks, losses, metrics, variables, gradients. Other checks try what
    Keras expects of any layer: state, shapes, masks, learning, saving, precisions, replicas.

    What cannot be compared never passes in silence. Random draws are not the same in XLA, and those
    from TensorFlow's global state (`tf.random.normal`; Keras 2's own `Dropout`) in no two modes:
    a check that for this reason has compared no mode in training, or none in inference, is
    `skipped`. One that has left out XLA alone, for draws or for want of a kernel, says so.

    A failure that only follows from another one reads `skipped: follows from ...`.

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
    >>> check_layer(case, checks="fast").passed
    True
    """
    return _check("layer", case, checks, on_fail)


def check_model(
    case: ModelCase, *, checks: str | Iterable[str] | None = None, on_fail: str = "raise"
) -> Report:
    """Checks that a compiled model trains right, and does the same in every mode.

    Two epochs of `fit` in the graph and in XLA are compared with `run_eagerly=True`. What a step
    does is compared with what it logs, and with what the same step does in `train_on_batch`, after
    saving and loading, on two replicas, with sample weights, and at another loss scale. Each layer
    of a class that is not Keras' own goes through the checks of `check_layer`; what they find is
    in the report under the name of the layer.

    Args:
        case: The model and its data.
        checks: Names of the checks to run, or `"fast"` for the quick ones; all by default.
        on_fail: `"raise"`, or `"report"` to have failures in the report only.

    Returns:
        The `Report`.

    Raises:
        ParityError: A check failed, or passed against expectation, and `on_fail` is `"raise"`.
        TypeError: `case` is no `ModelCase`, or makes no model of this Keras generation.
        ValueError: `case` makes a model that is not compiled, or a check in `checks` or in
            `case.expected_failures` does not exist.

    Example:

    >>> import numpy as np
    >>> from tensorflow import keras
    >>> from tfk_patterns.parity import ModelCase, check_model
    >>> def linear():
    ...     model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    ...     model.compile("sgd", "mse")
    ...     return model
    >>> inputs = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
    >>> check_model(ModelCase(linear, inputs, inputs[:, :1]), checks=["logged_loss"]).passed
    True
    """
    return _check("model", case, checks, on_fail)


def parametrize_checks(
    cases: Iterable[LayerCase | ModelCase], *, checks: str | Iterable[str] | None = None
) -> Callable:
    """Decorator that makes one pytest test of each case and check.

    The test takes `(case, check)` and calls `check(case)`. The checks of a case share its
    observations; with pytest-xdist and `--dist loadgroup` they run in one worker.

    Args:
        cases: The cases, of layers, of models or of both; their names, which must differ, make the
            test ids.
        checks: Names of the checks to run, or `"fast"` for the quick ones; all by default.

    Raises:
        TypeError: Something in `cases` is no `LayerCase` or `ModelCase`.
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

    if isinstance(cases, LayerCase | ModelCase):
        raise _validate.type_error("cases", "a list of cases", cases)
    cases = tuple(cases)
    kinds = [_kind_of(case) for case in cases]
    names = [case.name for case in cases]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise _validate.value_error(
            "cases", "cases with different names, which `name=` gives", repeated
        )
    selected = {kind: _select(kind, checks) for kind in dict.fromkeys(kinds)}
    parameters = [
        pytest.param(
            case,
            SelectedCheck(check.name, selected[kind], _SUBJECTS[kind]),
            id=f"{case.name}-{check.name}",
            marks=_in_one_worker(case),
        )
        for case, kind in zip(cases, kinds, strict=True)
        for check in selected[kind]
    ]
    return pytest.mark.parametrize(("case", "check"), parameters)


def _check(kind, case, checks, on_fail) -> Report:
    if not isinstance(case, _CASES[kind]):
        raise _validate.type_error("case", f"a {_CASES[kind].__name__}", case)
    _kind_of(case)
    _validate.one_of("on_fail", on_fail, ("raise", "report"))
    selected = _select(kind, checks)
    names = _with_progress(case.name, [check.name for check in selected])
    with _keras.without_global_seed():
        subject = _SUBJECTS[kind](case)
        verdicts = Verdicts(subject, selected)
        results = [verdicts[name] for name in names]
    if custom_layers.name in verdicts:
        results = with_those_on_layers(subject, results)
    report = Report(case.name, tuple(results))
    if on_fail == "raise" and not report.passed:
        raise ParityError(report)
    return report


def _kind_of(case: object) -> str:
    """`"layer"` or `"model"`; checks that the case expects failures of checks that exist."""
    for kind, cls in _CASES.items():
        if isinstance(case, cls):
            for name in case.expected_failures:
                _check_expected(kind, name)
            return kind
    raise _validate.type_error("cases", "made of LayerCase and ModelCase", case)


def _check_expected(kind: str, name: str) -> None:
    if name == custom_layers.name:
        expected = "'<layer>: <check>' for a check of a layer in the model"
        raise _validate.value_error("expected_failures", expected, name)
    layer, _, check = name.rpartition(OF_LAYER) if kind == "model" else ("", "", name)
    _validate.one_of("expected_failures", check, list_checks("layer" if layer else kind))


def _select(kind: str, checks: str | Iterable[str] | None) -> tuple[Check, ...]:
    if checks is None:
        return _CHECKS[kind]
    if checks == "fast":
        return tuple(check for check in _CHECKS[kind] if check.fast)
    if isinstance(checks, str):
        raise _validate.type_error("checks", "a list of names of checks, or 'fast'", checks)
    names = [_validate.one_of("checks", name, list_checks(kind)) for name in checks]
    if not names:
        raise _validate.value_error("checks", "at least one name of a check", names)
    return tuple(check for check in _CHECKS[kind] if check.name in names)


def _with_progress(title: str, names: list[str]) -> Iterable[str]:
    """The names, with a bar on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        return names
    from rich.console import Console
    from rich.progress import track

    return track(names, title, console=Console(stderr=True), transient=True)


def _in_one_worker(case: LayerCase | ModelCase) -> list:
    """The mark by which pytest-xdist keeps tests together, where it is installed."""
    if importlib.util.find_spec("xdist") is None:
        return []
    import pytest

    return [pytest.mark.xdist_group(case.name)]
