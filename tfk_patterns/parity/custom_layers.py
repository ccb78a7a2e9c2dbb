"""The custom layers in a model, as cases of their own."""

import functools
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import without_number
from tfk_patterns.parity.calls.watching import watched_calls
from tfk_patterns.parity.case import LayerCase
from tfk_patterns.parity.errors import in_one_line
from tfk_patterns.parity.model_case import OF_LAYER
from tfk_patterns.parity.model_fitting import take_a_step
from tfk_patterns.parity.model_subject import ModelSubject
from tfk_patterns.parity.outcome import Skip
from tfk_patterns.parity.reference import equal_circumstances


def layer_cases(subject: ModelSubject) -> list[LayerCase]:
    """A case for each layer of a class that is not Keras' own, with what the model calls it on.

    A layer that the model never calls on tensors has none.
    """
    model = subject.model()
    layers = _keras.sublayers(model)
    custom = {place: layer for place, layer in enumerate(layers) if _is_custom(layer, model)}
    calls, names = _first_calls(subject, model, list(custom.values())), _names(layers)
    cases = []
    for place, layer in custom.items():
        if id(layer) in calls:
            make = functools.partial(_layer_at, subject, place)
            expected = subject.case.expected_of(names[place], type(layer).__name__)
            arguments = {**calls[id(layer)], "expected_failures": expected}
            cases.append(LayerCase(make, **arguments, name=names[place]))
    return cases


def expected_of_no_layer(subject: ModelSubject) -> list[str]:
    """The names before the checks in `expected_failures` that no layer of the model has."""
    layers = _keras.sublayers(subject.reference.model)
    known = {*_names(layers), *(type(layer).__name__ for layer in layers)}
    expected = [name.rpartition(OF_LAYER)[0] for name in subject.case.expected_failures]
    return [name for name in expected if name and name not in known]


def _names(layers) -> list[str]:
    """The names of layers; without the numbers that Keras gives, which depend on the process."""
    found: list[str] = []
    for layer in layers:
        base = without_number(layer.name)
        is_automatic = base.replace("_", "") == type(layer).__name__.lower().replace("_", "")
        name = base = base if is_automatic else layer.name
        number = 1
        while name in found:
            number += 1
            name = f"{base} ({number})"
        found.append(name)
    return found


def _is_custom(layer, model) -> bool:
    if layer is model or isinstance(layer, keras.Model):
        return False
    return not _keras.is_keras_own(type(layer))


def _layer_at(subject, place):
    return _keras.sublayers(subject.reference.built(subject.reference.fresh()))[place]


def _first_calls(subject, model, layers) -> dict[int, dict[str, Any]]:
    """For each layer, by id, what its first call in a training step was given."""
    found: dict[int, dict[str, Any]] = {}
    wanted = {id(layer) for layer in layers}

    def note(layer, *args, **kwargs):
        if id(layer) in wanted and id(layer) not in found:
            arguments = _arguments(args, kwargs)
            if arguments is not None:
                found[id(layer)] = arguments

    _keras.run_in_mode(model, "eager")
    try:
        with watched_calls(note), equal_circumstances():
            take_a_step(model, subject.reference.batch)
    except Exception as error:  # what is wrong with it, `fit` says
        raise Skip(f"the model cannot be trained: {in_one_line(error, 120)}") from error
    return found


def _arguments(args, kwargs) -> dict[str, Any] | None:
    """What a `LayerCase` needs of a call, or `None` where it was no call on eager tensors."""
    if not args or not _all_eager(args[0]):
        return None
    rest = {key: value for key, value in kwargs.items() if key not in ("training", "mask")}
    if len(args) > 1 or not all(_all_eager(v) for v in rest.values() if tf.is_tensor(v)):
        return None
    inputs = tf.nest.map_structure(np.asarray, args[0])
    mask = kwargs.get("mask")
    if mask is None:
        masks = [_keras.attached_mask(tensor) for tensor in tf.nest.flatten(args[0])]
        if any(m is not None for m in masks):
            mask = tf.nest.pack_sequence_as(inputs, masks)
    mask = tf.nest.map_structure(lambda m: None if m is None else np.asarray(m), mask)
    rest = {key: np.asarray(v) if tf.is_tensor(v) else v for key, v in rest.items()}
    return {"inputs": inputs, "mask": mask, "call_kwargs": rest}


def _all_eager(structure) -> bool:
    leaves = tf.nest.flatten(structure)
    return bool(leaves) and all(
        isinstance(leaf, tf.Tensor) and hasattr(leaf, "numpy") for leaf in leaves
    )
