"""Results of steps as Python and NumPy have them."""

from typing import Any

import numpy as np
import tensorflow as tf


def numbers(logs: dict) -> dict[str, Any]:
    """Logs with numbers for tensors."""
    return {name: tf.nest.map_structure(_number, value) for name, value in logs.items()}


def logs_of_epoch(logs: dict, read_metrics) -> dict[str, Any]:
    """The metrics' results, unless a step of the model's own logs something else, as in `fit`."""
    results = read_metrics()
    return numbers(results if not logs or set(results) == set(logs) else logs)


def _number(value):
    value = value.numpy() if hasattr(value, "numpy") else value
    return value.item() if isinstance(value, np.generic | np.ndarray) and value.ndim == 0 else value


def joined(outputs: list):
    """The outputs of all batches, one after the other, as arrays; ragged ones as tensors."""
    return tf.nest.map_structure(lambda *parts: _array(tf.concat(parts, axis=0)), *outputs)


def _array(tensor):
    return tensor.numpy() if isinstance(tensor, tf.Tensor) else tensor
