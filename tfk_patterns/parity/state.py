"""Which state of a layer is whose matter."""

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity import comparison
from tfk_patterns.parity.arrays import values_by_name


def stateful_layers(layer) -> list:
    """The layers, among the layer and those in it, that say `stateful=True`."""
    return [part for part in _keras.sublayers(layer) if getattr(part, "stateful", False)]


def kept_on_purpose(layer) -> set[str]:
    """The names of the variables of layers that say `stateful=True`, as RNNs do."""
    theirs = {id(variable) for owner in stateful_layers(layer) for variable in owner.variables}
    names = list(values_by_name(_keras.state_variables(layer)))
    variables = _keras.state_variables(layer)
    return {name for name, v in zip(names, variables, strict=True) if id(v) in theirs}


def is_float(value: Any) -> bool:
    """Whether an array holds floats; counters and the state of random generators do not."""
    return tf.as_dtype(value.dtype).is_floating


def moved(
    before: dict[str, np.ndarray], after: dict[str, np.ndarray]
) -> dict[str, comparison.Difference]:
    """How the variables differ that are not exactly what they were, by name."""
    exactly = functools.partial(comparison.difference, rtol=0, atol=0, source="it")
    found = {name: exactly(before[name], after[name]) for name in before if name in after}
    return {name: difference for name, difference in found.items() if difference.description}
