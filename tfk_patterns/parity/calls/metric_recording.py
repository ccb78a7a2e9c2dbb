"""What a layer gives to its metrics in `fit` and `evaluate`, and what these make of it."""

import contextlib
import dataclasses
import functools
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity import fitting
from tfk_patterns.parity.calls.holders import halved
from tfk_patterns.parity.data import Data, batch_size, taken
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.saving import reloading

EPOCHS = 2


@dataclasses.dataclass
class Pass:
    """One pass over all batches.

    Args:
        label: Which one: `fit, epoch 1`.
        updates: For each metric, in order, the arguments of each `update_state`.
        logs: What Keras reports at the end, by name.
    """

    label: str
    updates: list[list[tuple[tuple, dict]]]
    logs: dict[str, float] = dataclasses.field(default_factory=dict)


def passes(subject) -> tuple[list, list[Pass]]:
    """Trains a fresh layer in eager mode for some epochs, then evaluates it.

    Returns:
        The metrics of that layer, and the passes.
    """
    layer = subject.layer()
    metrics = _keras.metrics_of(layer)
    model = fitting.LayerModel(layer, subject.data, subject.case.fixed_kwargs, True)
    model.compile(optimizer=keras.optimizers.SGD(0.0), run_eagerly=True)
    batches = fitting.batches_of(_steps(subject.data))
    made: list[Pass] = []

    def begin(label):
        made.append(Pass(label, [[] for _ in metrics]))

    begin("before training")  # Keras may try the model first
    each_epoch = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: begin(f"fit, epoch {epoch + 1}")
    )
    with equal_circumstances(), contextlib.ExitStack() as stack:
        for place, metric in enumerate(metrics):
            note = functools.partial(_note, metric.update_state, made, place)
            stack.enter_context(mock.patch.object(metric, "update_state", note))
        history = model.fit(
            batches, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[each_epoch]
        ).history
        begin("evaluate")
        logs = model.evaluate(batches, verbose=0, return_dict=True)
    for epoch in range(EPOCHS):
        made[epoch + 1].logs = {name: values[epoch] for name, values in history.items()}
    made[-1].logs = logs
    return metrics, made[1:]


def _steps(data: Data) -> list[Data]:
    """Two batches that no statistic is the same for: the second has some samples, smaller."""
    samples = batch_size(data)
    if not samples:
        return [data, halved(data)]
    return [data, halved(taken(data, [place // 2 for place in range(samples)]))]


def results(metric, updates: list[tuple[tuple, dict]]) -> dict[str, np.ndarray]:
    """What a new metric of the same config makes of the updates, by name in the logs."""
    with keras.utils.custom_object_scope(reloading.defined_beside(type(metric))):
        fresh = type(metric).from_config(metric.get_config())
    for args, kwargs in updates:
        fresh.update_state(*args, **kwargs)
    result = fresh.result()
    named = result if isinstance(result, dict) else {metric.name: result}
    return {name: np.asarray(value, np.float32) for name, value in named.items()}


def _note(update_state, made, place, *args, **kwargs):
    if tf.executing_eagerly():
        made[-1].updates[place].append(tf.nest.map_structure(_value, (args, kwargs)))
    return update_state(*args, **kwargs)


def _value(argument: Any) -> Any:
    """An argument as it is now: a variable may change."""
    return tf.identity(argument) if isinstance(argument, tf.Variable) else argument
