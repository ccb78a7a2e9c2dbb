"""One training step of a model with changes, for the checks that compare such steps."""

from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity.comparison import Difference
from tfk_patterns.parity.model_fitting import EPOCHS, take_a_step
from tfk_patterns.parity.model_subject import ModelSubject, trainable_values
from tfk_patterns.parity.outcome import Skip
from tfk_patterns.parity.recorded_step import Step

LOG_TOLERANCE = {"float32": 2e-3, "float16": 2e-2, "bfloat16": 5e-2}  # relative to the loss


def one_step(
    subject: ModelSubject, scale: float = 1.0, times: int = 1, **changes: Any
) -> list[np.ndarray]:
    """The trainable weights after one step on the first batch, and what was differentiated in it.

    Args:
        subject: The subject of the check.
        scale: What the losses that layers add are multiplied by.
        times: How often the step is taken.
        changes: What to put in the place of parts of the batch.
    """
    return taken(subject, scale, times, **changes)[0]


def taken(
    subject: ModelSubject, scale: float = 1.0, times: int = 1, **changes: Any
) -> tuple[list[np.ndarray], list[Step]]:
    """What `one_step` returns, for the same arguments, and all that was written down."""
    batch = {**subject.reference.batch, **changes}
    losses = keras.layers.Layer.losses
    scaled = property(lambda layer: [scale * loss for loss in losses.fget(layer)])

    def run(recorder):
        with mock.patch.object(keras.layers.Layer, "losses", scaled):
            for _ in range(times):
                take_a_step(recorder.model, batch)
        return trainable_values(recorder.model)

    values, steps = subject.recorded(run)
    targets = [target for step in steps for target in step.targets]
    return [*values, np.array(targets)], steps


def scale_of_loss(subject: ModelSubject) -> float:
    """What the loss is multiplied by before it is differentiated."""
    optimizers = _keras.optimizers_of(subject.reference.model)
    scales = [_keras.loss_scale(o) for o in optimizers if _keras.scales_loss(o)]
    return scales[0] if scales else 1.0


def equal(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    """Whether two steps gave the same to the last bit."""
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def close(subject: ModelSubject, one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    """Whether two steps gave the same but for rounding."""
    return len(one) == len(other) and all(
        subject.difference(a, b).description is None for a, b in zip(one, other, strict=True)
    )


def batch_with_targets(subject: ModelSubject) -> dict[str, Any]:
    """The first batch, without sample weights.

    Raises:
        Skip: It has no targets.
    """
    if subject.case.y is None:
        raise Skip("the case has no targets")
    return {**subject.reference.batch, "sample_weight": None}


def steps_of_epochs(subject: ModelSubject) -> list[list[Step]]:
    """The steps of `subject.fitted`, epoch by epoch."""
    size = len(subject.steps) // EPOCHS
    return [subject.steps[epoch * size : (epoch + 1) * size] for epoch in range(EPOCHS)]


def tally(subject: ModelSubject, wanted: np.ndarray, found: np.ndarray) -> None:
    """Counts logs that are near enough to what they should be."""
    error = float(np.max(np.abs(found - wanted)))
    scale = float(np.max(np.abs(wanted)))
    subject.tally.add(Difference(None, error, error / scale if scale else 0.0))


def why_mixed(subject: ModelSubject) -> str:
    """Why a random step may train on samples that others have a part in, or an empty string."""
    if not subject.random_ops:
        return ""
    batch, half = subject.reference.batch["x"], subject.case.batch_size // 2
    moved = tf.nest.map_structure(lambda x: changed_from(x, half), batch)
    (_, (step, *_)), (_, (other, *_)) = (taken(subject, x=x) for x in (batch, moved))
    if not step.calls:
        return "the step is random, and calls parts of the model on what cannot be seen"
    pairs = zip(step.calls, other.calls, strict=True)
    inputs = [pair for calls in pairs for pair in zip(*(c.inputs for c in calls), strict=True)]
    mixed = any(np.ndim(a) and not np.array_equal(a[:half], b[:half]) for a, b in inputs)
    return "the step mixes samples at random, as Mixup does" if mixed else ""


def changed_from(targets: Any, first: int) -> np.ndarray:
    """Other targets of the same kind from a sample on: those of other samples, or moved ones."""
    targets = np.array(targets)
    rest = np.roll(targets[first:], 1, axis=0)
    if np.array_equal(rest, targets[first:]) and targets.dtype.kind == "f":
        rest = rest + 1
    elif np.array_equal(rest, targets[first:]):
        rest = np.broadcast_to(targets[:1], rest.shape)
    return np.concatenate([targets[:first], rest])
