"""Differences of training that rounding explains.

Adam turns a gradient that is zero but for rounding, as that of a bias before batch normalisation,
into full steps: such a model is no more the same in two runs.
"""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns.parity.comparison import named_leaves
from tfk_patterns.parity.model_fitting import ModelFit

REASON = "a change of one part in a million gives about as different a result"
_AMPLIFIED = 50.0  # of what that change makes of the result


def nudged(model: Any) -> Any:
    """The model, its weights moved by about one part in a million."""
    noise = np.random.default_rng(0)
    for weight in model.trainable_weights:
        value = np.asarray(tf.convert_to_tensor(weight))
        change = 1e-6 * noise.normal(size=value.shape) * np.max(np.abs(value), initial=1e-3)
        weight.assign((value + change).astype(value.dtype))
    return model


def explains(wanted: ModelFit, found: ModelFit, moved: ModelFit) -> bool:
    """Whether two trainings differ nowhere by more than one from nudged weights leads to expect."""
    one, other, third = (_leaves(fit) for fit in (wanted, found, moved))
    return one.keys() == other.keys() == third.keys() and all(
        within(one[name], other[name], third[name]) for name in one
    )


def within(wanted: np.ndarray, found: np.ndarray, moved: np.ndarray) -> bool:
    """Whether one array of theirs does so."""
    if wanted.shape != found.shape or wanted.dtype.kind != "f":
        return np.array_equal(wanted, found)
    noise = np.max(np.abs(moved - wanted), initial=0.0)
    allowed = _AMPLIFIED * noise + 1e-4 * np.max(np.abs(wanted), initial=0.0) + 1e-6
    return bool(np.all(np.abs(found - wanted) <= allowed))


def _leaves(fit: ModelFit) -> dict[str, np.ndarray]:
    return dict(named_leaves(dataclasses.asdict(fit), "fit"))
