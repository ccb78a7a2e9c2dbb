"""What a training step on a batch gives, beside steps on its halves, on one device."""

import contextlib
import dataclasses
from unittest import mock

import numpy as np

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import logs_by_name, values_by_name
from tfk_patterns.parity.model_fitting import take_a_step
from tfk_patterns.parity.model_steps import scale_of_loss

_ROUNDING = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}


@dataclasses.dataclass(frozen=True)
class StepHalves:
    """What of a step follows from steps on the halves of its batch: is their mean or their sum.

    No optimizer moves a weight meanwhile, so that what a step differentiates later is comparable.

    Args:
        losses_add_up: Whether everything does that gradients are taken of.
        others: What does not: names in the history, and of variables, as `ModelFit` has them.
    """

    losses_add_up: bool
    others: frozenset[str]

    @classmethod
    def of(cls, subject) -> "StepHalves":
        """Takes the steps, on fresh models."""
        half = subject.case.batch_size // 2
        rows = (slice(0, 2 * half), slice(0, half), slice(half, 2 * half))
        (whole, own, changes), *halves = [_step(subject, part) for part in rows]
        digits = _ROUNDING[subject.compute_dtype]
        return cls(
            losses_add_up=_adds_up(whole, [targets for targets, _, _ in halves], digits)
            or _adds_up(own, [targets for _, targets, _ in halves], digits),
            others=frozenset(
                name
                for name, change in changes.items()
                if not _adds_up(change, [numbers.get(name) for _, _, numbers in halves], digits)
            ),
        )


def _step(subject, rows: slice) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """What a step on some samples gives.

    Returns what it differentiates; that less the losses of layers, which may come once for a batch
    of any size; its logs and the changes of variables.
    """

    def run(recorder):
        before = values_by_name(_keras.state_variables(recorder.model))
        logs = take_a_step(recorder.model, subject.reference.rows(rows))
        after = values_by_name(_keras.state_variables(recorder.model))
        changes = {name: _exact(after[name]) - _exact(before[name]) for name in before}
        return changes | {name: _exact(log[-1]) for name, log in logs_by_name(logs).items()}

    with _standing_still(subject):
        numbers, steps = subject.recorded(run)
    targets = np.array([target for step in steps for target in step.targets])
    added = sum(step.added or 0.0 for step in steps) * scale_of_loss(subject)
    return targets, targets - added, numbers


@contextlib.contextmanager
def _standing_still(subject):
    optimizers = map(_keras.inner_optimizer, _keras.optimizers_of(subject.reference.model))
    with contextlib.ExitStack() as stack:
        for cls in set(map(type, optimizers)):
            stack.enter_context(mock.patch.object(cls, "update_step", _no_update))
        yield


def _no_update(optimizer, *args, **kwargs):
    """Moves nothing."""


def _adds_up(whole: np.ndarray, halves: list[np.ndarray | None], digits: float) -> bool:
    if any(half is None or half.shape != whole.shape for half in halves):
        return False
    total = np.add(*halves)
    return any(
        np.allclose(whole, expected, rtol=digits, atol=1e-7, equal_nan=True)
        for expected in (total, total / 2)
    )


def _exact(value) -> np.ndarray:
    return np.asarray(value, np.float64)
