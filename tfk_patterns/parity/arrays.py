"""Tensors and variables as arrays, under names that all instances of a layer share."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras


def values_by_name(variables) -> dict[str, np.ndarray]:
    """The values of variables, under names that are the same for every instance of a layer."""
    return {
        name: _as_array(tf.convert_to_tensor(variable))
        for name, variable in named(variables, _keras.variable_name)
    }


def without_number(name: str) -> str:
    """A name less the numbers that Keras counts instances with, at its end or within.

    Within, as in the name of a metric that is named after its layer: `dense_3_norm`.
    """
    return re.sub(r"_\d+(?=_|$)", "", name)


def logs_by_name(logs: dict[str, Any]) -> dict[str, Any]:
    """Logs under names less the numbers Keras counts metrics with; repeats numbered anew."""
    found: dict[str, Any] = {}
    for name in sorted(logs, key=_in_order_of_numbers):
        base = unused = without_number(name)
        number = 1
        while unused in found:
            number += 1
            unused = f"{base} ({number})"
        found[unused] = logs[name]
    return found


def _in_order_of_numbers(name: str) -> tuple[str, list[int]]:
    return without_number(name), [int(number) for number in re.findall(r"_(\d+)(?=_|$)", name)]


def named(things, name_of: Callable) -> list[tuple[str, Any]]:
    """Things with their names, less the numbers Keras counts instances with; repeats numbered."""
    found: dict[str, Any] = {}
    for thing in things:
        *scopes, last = name_of(thing).split("/")
        if re.fullmatch(r"variable_\d+", last):  # Keras 3 calls a weight without a name so
            last = "variable"
        last = re.sub(r"_\d+(?=_)", "", last)
        base = name = "/".join([*map(without_number, scopes), last])
        number = 1
        while name in found:
            number += 1
            name = f"{base} ({number})"
        found[name] = thing
    return list(found.items())


def as_arrays(structure):
    """A structure of tensors as one of arrays, `None`s kept; ragged and sparse ones as lists."""
    return tf.nest.map_structure(_as_array, structure)


def _as_array(leaf):
    if leaf is None:
        return None
    if isinstance(leaf, tf.RaggedTensor | tf.SparseTensor):
        return [np.asarray(part) for part in tf.nest.flatten(leaf, expand_composites=True)]
    # NumPy itself cannot read a scalar tensor in bfloat16.
    return np.asarray(leaf.numpy() if tf.is_tensor(leaf) else leaf)
