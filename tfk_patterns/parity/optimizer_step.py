"""One training step, and which weights it moved."""

import numpy as np

from tfk_patterns import _keras
from tfk_patterns.parity.model_fitting import take_a_step
from tfk_patterns.parity.model_subject import trainable_values


def optimizer_step(subject, model):
    """The names of the trainable weights that one step moved by themselves, and the step."""
    before = trainable_values(model)

    def run(recorder):
        take_a_step(recorder.model, subject.reference.batch)

    _, steps = subject.recorded(run, model)
    after = trainable_values(model)
    moved = set()
    for place, weight in enumerate(model.trainable_weights):
        others = [v for values in (before, after) for n, v in enumerate(values) if n != place]
        old, new = before[place], after[place]
        if not np.array_equal(old, new) and not _follows(others, old, new):
            moved.add(_keras.variable_name(weight))
    return moved, steps[0]


def _follows(others: list[np.ndarray], old: np.ndarray, new: np.ndarray) -> bool:
    """Whether a weight went a part of the way to another one, as that of a target network does."""
    return any(
        other.shape == old.shape and _is_part_of_the_way(new - old, other - old) for other in others
    )


def _is_part_of_the_way(step: np.ndarray, way: np.ndarray) -> bool:
    length = np.sum(np.square(way))
    share = np.sum(step * way) / length if length else 0.0
    if not 0.0 < share <= 1.0:
        return False
    return np.allclose(step, share * way, rtol=1e-3, atol=1e-5 * np.max(np.abs(way)))
