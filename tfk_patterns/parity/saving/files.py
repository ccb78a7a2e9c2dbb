"""A functional model with the layer of a case, as it is saved, and models that came of a file."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import values_by_name
from tfk_patterns.parity.data import tensors_of
from tfk_patterns.parity.errors import blamed
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.repeating import why_not_compared
from tfk_patterns.parity.saving import configs

FOLLOWS = (
    *("outputs", "eager_only", "wrapped_call", "leaked_tensors", "python_state"),
    *("symbolic_shape", "tracked_variables", "shared_state"),
)
"""Checks whose failure makes a saved model fail too."""


@dataclasses.dataclass(frozen=True)
class Saved:
    """The model to save, after a training call, so that no state is as it was made.

    Args:
        layer: The layer.
        model: A functional model that holds it.
    """

    layer: Any
    model: Any


def to_save(subject) -> Saved:
    """The model to save; made once for all checks.

    Raises:
        Failure: The layer cannot be in a functional model.
        Skip: The same, and it is not the layer's fault.
    """
    return subject.shared("model to save", lambda: _made(subject))


def _made(subject) -> Saved:
    layer = subject.layer()
    with blamed("the layer cannot be called", "eager, training=True", check="outputs"):
        subject.call(layer, training=True)
    return Saved(layer, subject.functional(layer))


def require_no_python_code(subject) -> None:
    """Raises a `Skip` for a layer that no file may hold."""
    configs.skip_python_code(subject.reference.layer)


def compare_models(subject, saved: Saved, model, where: str, hint: str) -> None:
    """Compares a model that came of a file with the saved one: weights, outputs, losses.

    Raises:
        Failure: They differ.
    """
    _compare_weights(subject, saved.model, model, where, hint)
    if _keras.recurrent_states(saved.layer):
        subject.tally.left_out["outputs"] = "Keras saves no state of stateful recurrent layers"
        return
    reason = why_not_compared(subject, training=False)
    if reason:
        subject.tally.left_out["outputs"] = reason
        return
    # What a file need not hold, such as the states of random generators.
    pairs = zip(_keras.state_variables(model), _keras.state_variables(saved.model), strict=False)
    for variable, value in pairs:
        if variable.shape == value.shape:
            variable.assign(value)
    wanted = call_model(saved.model, subject.data)
    with blamed("the loaded model cannot be called", where, hint):
        found = call_model(model, subject.data)
    for what in wanted:
        subject.compare(wanted[what], found[what], where, what, hint, "the saved model")


def call_model(model, data) -> dict[str, list[np.ndarray]]:
    """The outputs and losses of a functional model in eager mode, in inference."""
    with equal_circumstances():
        outputs = model(tensors_of(data), training=False)
    return {
        "outputs": as_arrays(outputs),
        "losses": [np.asarray(tf.convert_to_tensor(loss)) for loss in model.losses],
    }


def as_arrays(outputs: Any) -> list[np.ndarray]:
    """The dense parts of outputs in a flat list."""
    leaves = tf.nest.flatten(outputs, expand_composites=True)
    return [np.asarray(tf.convert_to_tensor(leaf)) for leaf in leaves]


def skip_what_keras_cannot_export(subject, model) -> None:
    """Ends a check of a model that Keras has no way to export, whatever the layer does."""
    if any(
        isinstance(leaf, tf.RaggedTensor | tf.SparseTensor) for leaf in tensors_of(subject.data)
    ):
        raise Skip("Keras exports no model with ragged or sparse inputs")
    outputs = model.output.values() if isinstance(model.output, dict) else model.output
    parts = outputs if isinstance(model.output, dict | list | tuple) else ()
    if any(isinstance(part, list | tuple | dict) for part in parts):
        raise Skip("a SavedModel can have no nested outputs")


def _compare_weights(subject, wanted, found, where: str, hint: str) -> None:
    values = values_by_name(wanted.weights)
    if len(values) != len(found.weights):
        raise Failure(
            f"the loaded model has {len(found.weights)} weights, the saved one {len(values)}",
            where=f"{where}: weights",
            hint=hint,
        )
    others = (np.asarray(tf.convert_to_tensor(weight)) for weight in found.weights)
    others = dict(zip(values, others, strict=True))
    subject.compare(values, others, where, "weights", hint, "the saved model")
    pairs = zip(values, _trainable(wanted), _trainable(found), strict=True)
    for name, is_trainable, is_still in pairs:
        if is_trainable != is_still:
            kinds = ["trainable" if flag else "not trainable" for flag in (is_trainable, is_still)]
            raise Failure(
                f"{name} is {kinds[1]} in the loaded model, and {kinds[0]} in the saved one",
                where=f"{where}: {name}",
                hint=hint,
            )


def _trainable(model) -> list[bool]:
    trainable = {id(weight) for weight in model.trainable_weights}
    return [id(weight) in trainable for weight in model.weights]
