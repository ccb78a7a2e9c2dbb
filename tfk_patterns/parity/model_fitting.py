"""Two epochs of `fit` in a mode, and what came of them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import logs_by_name, values_by_name
from tfk_patterns.parity.model_case import ModelCase

EPOCHS = 2


@dataclasses.dataclass(frozen=True)
class ModelFit:
    """What `EPOCHS` epochs of `fit` gave.

    Args:
        history: Log name to its value for each epoch.
        step_logs: Log name to its value after each step.
        variables: Name to value of every variable of the model, the metrics' left out.
        optimizers: For each optimizer, the values of its variables in its own order.
        iterations: For each optimizer, its count of the steps it took.
    """

    history: dict[str, np.ndarray]
    step_logs: dict[str, np.ndarray]
    variables: dict[str, np.ndarray]
    optimizers: list[list[np.ndarray]]
    iterations: list[np.ndarray]


def fit(model, case: ModelCase, mode: str, callbacks: Any = (), epochs: int = EPOCHS) -> ModelFit:
    """Trains a model in a mode and returns the `ModelFit`.

    Args:
        model: The compiled model, in the state to start from.
        case: The data.
        mode: One of `modes.MODES`.
        callbacks: More Keras callbacks.
        epochs: Number of epochs.
    """
    _keras.run_in_mode(model, mode)
    logs = StepLogs()
    history = model.fit(
        case.x,
        case.y,
        sample_weight=case.sample_weight,
        batch_size=case.batch_size,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[logs, *callbacks],
    )
    return fit_of(model, history.history, logs.steps)


def take_a_step(model, batch: dict[str, Any], **arguments: Any) -> dict[str, list]:
    """Trains a model for one step, on `{"x", "y", "sample_weight"}`, and returns the history.

    By `fit`, whatever a model makes of `train_on_batch`.
    """
    rows = len(tf.nest.flatten(batch["x"])[0])
    arguments = {**batch, **arguments}
    return model.fit(**arguments, batch_size=rows, shuffle=False, verbose=0).history


def unpacked(batch: dict[str, Any]) -> tuple:
    """The data of a batch as `train_step` gets them: `(x,)`, `(x, y)`, `(x, y, sample_weight)`."""
    parts = (batch["x"], batch["y"], batch["sample_weight"])
    given = [place for place, part in enumerate(parts) if part is not None]
    return parts[: given[-1] + 1]


def fit_of(model, history: dict[str, list], steps: list[dict[str, float]]) -> ModelFit:
    """The `ModelFit` of a model that has been trained."""
    optimizers = [_keras.inner_optimizer(o) for o in _keras.optimizers_of(model)]
    names = dict.fromkeys(name for step in steps for name in step)
    return ModelFit(
        history=logs_by_name({n: np.asarray(v, np.float64) for n, v in history.items()}),
        step_logs=logs_by_name(
            {name: np.asarray([step.get(name, np.nan) for step in steps]) for name in names}
        ),
        variables=values_by_name(_keras.state_variables(model)),
        optimizers=[
            [np.asarray(tf.convert_to_tensor(v)) for v in _keras.optimizer_variables(o)]
            for o in optimizers
        ],
        iterations=[np.asarray(int(tf.convert_to_tensor(o.iterations))) for o in optimizers],
    )


def evaluated(model, data: dict[str, Any], batch_size: int) -> dict[str, np.ndarray]:
    """What `evaluate` logs for `{"x", "y", "sample_weight"}`, the single numbers."""
    logs = model.evaluate(**data, batch_size=batch_size, verbose=0, return_dict=True)
    return single_numbers(logs)


def single_numbers(logs) -> dict[str, np.ndarray]:
    """The logs that are single numbers, as arrays, by names that all models of a case share."""
    named = logs_by_name(dict(logs))
    arrays = {name: np.asarray(value, np.float32) for name, value in named.items()}
    return {name: value for name, value in arrays.items() if value.size == 1}


class StepLogs(keras.callbacks.Callback):
    """Keeps what Keras logs after each training step."""

    def __init__(self, on_begin: Callable[[], None] | None = None):
        super().__init__()
        self.steps: list[dict[str, float]] = []
        self._on_begin = on_begin

    def on_train_batch_begin(self, batch, logs=None):
        if self._on_begin is not None:
            self._on_begin()

    def on_train_batch_end(self, batch, logs=None):
        numbers = {name: np.asarray(value, np.float64) for name, value in (logs or {}).items()}
        self.steps.append({name: float(v) for name, v in numbers.items() if v.size == 1})
