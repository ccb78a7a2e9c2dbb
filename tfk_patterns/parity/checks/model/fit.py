"""Training a model with `fit`."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity import modes
from tfk_patterns.parity.calls.step_training import require_training
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.comparison import named_leaves
from tfk_patterns.parity.outcome import Failure, Skip

_HINT = (
    "Python code in `train_step` and `call` runs once, when the graph is traced: a Python counter, "
    "`if`, list or random number is frozen. Count in a variable (`self.add_weight(..., "
    "trainable=False)`, `optimizer.iterations`), and branch with tf.cond."
)
_AMPLIFIED = 50.0  # of what a change of one part in a million makes of the result
_TRIES = 3  # TensorFlow itself reads a variable too late in a few runs of 100 (docs/findings.md)


@define_check(
    follows=("custom_layers",),
    link="https://www.tensorflow.org/guide/function#executing_python_side_effects",
)
def fit(subject):
    """Two epochs of `fit` are those of `run_eagerly=True`: logs, weights, iterations, state.

    And a training step says `training=True` where that makes a difference.
    """
    expected = subject.fitted
    require_training(subject)
    if any(layer for layer in _keras.sublayers(subject.reference.model) if _is_dynamic(layer)):
        raise Skip("a layer is dynamic: the model runs eagerly in every mode")
    for mode in ("graph", "xla"):
        reason = _why_not(subject, mode)
        draws = subject.random_ops.why_not(mode)
        if reason:
            subject.tally.left_out[f"fit, {mode}"] = reason
            continue
        if draws:
            subject.tally.left_out[f"fit, {mode}, values"] = draws
            subject.compare(
                expected.iterations,
                subject.fit(mode).iterations,
                f"fit, {mode}",
                "iterations",
                _HINT,
                "run_eagerly=True",
            )
            continue
        _compare(subject, expected, mode)
    subject.skip_if_nothing("; ".join(subject.tally.left_out.values()))


def _is_dynamic(layer) -> bool:
    return bool(getattr(layer, "dynamic", False))


def _why_not(subject, mode):
    if mode != "xla":
        return None
    if not all(_keras.supports_jit(layer) for layer in _keras.sublayers(subject.reference.model)):
        return "a layer says `supports_jit = False`"
    try:
        subject.fit(mode)
    except modes.CannotCompile as error:
        return str(error)
    return None


def _compare(subject, expected, mode):
    """Fails where every try differs by more than rounding, as training amplifies it, explains."""
    failure = _first_failure(subject, expected, subject.fit(mode), mode)
    tries = 1
    while failure is not None and tries < _TRIES:
        tries += 1
        again = subject.fit_again(mode)
        failure = _first_failure(subject, expected, again, mode)
    if tries > 1 and failure is None:
        reason = "equal in another run only: TensorFlow reads a variable too late in some"
        subject.tally.left_out[f"fit, {mode}, first run"] = reason
    if failure is None:
        return
    if not _explained_by_rounding(subject, expected, again):
        raise failure
    reason = "a change of one part in a million gives about as different a result"
    subject.tally.left_out[f"fit, {mode}, to the last digits"] = reason
    subject.tally.compared += 1


def _first_failure(subject, expected, actual, mode):
    for field in ("iterations", "step_logs", "history", "variables", "optimizers"):
        try:
            subject.compare(
                getattr(expected, field),
                getattr(actual, field),
                f"fit, {mode}",
                field,
                _HINT,
                "run_eagerly=True",
            )
        except Failure as failure:
            return failure
    return None


def _explained_by_rounding(subject, expected, actual) -> bool:
    """Whether weights that differ by one part in a million give about as different a result.

    Adam turns a gradient that is zero but for rounding, as that of a bias before batch
    normalisation, into full steps: such a model is no more the same in two runs.
    """
    nudged = subject.shared("nudged", lambda: subject.fit_again("eager", _nudged(subject.model())))
    wanted, found, moved = (_leaves(one) for one in (expected, actual, nudged))
    return wanted.keys() == found.keys() == moved.keys() and all(
        _within(wanted[name], found[name], moved[name]) for name in wanted
    )


def _within(wanted, found, moved) -> bool:
    if wanted.shape != found.shape or wanted.dtype.kind != "f":
        return np.array_equal(wanted, found)
    noise = np.max(np.abs(moved - wanted), initial=0.0)
    allowed = _AMPLIFIED * noise + 1e-4 * np.max(np.abs(wanted), initial=0.0) + 1e-6
    return bool(np.all(np.abs(found - wanted) <= allowed))


def _leaves(observed) -> dict[str, np.ndarray]:
    fields = dataclasses.asdict(observed)
    return dict(named_leaves(fields, "fit"))


def _nudged(model):
    noise = np.random.default_rng(0)
    for weight in model.trainable_weights:
        value = np.asarray(tf.convert_to_tensor(weight))
        change = 1e-6 * noise.normal(size=value.shape) * np.max(np.abs(value), initial=1e-3)
        weight.assign((value + change).astype(value.dtype))
    return model
