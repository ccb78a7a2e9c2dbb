"""Python's and NumPy's generators of random numbers, and whether results repeat."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)


def global_states() -> dict[str, str]:
    """The states of the generators of the modules, as text."""
    return {"random": repr(random.getstate()), "np.random": _text(np.random.get_state(False))}


def state_of(generator) -> str:
    """The state of a generator, as text."""
    if isinstance(generator, random.Random):
        return repr(generator.getstate())
    if isinstance(generator, np.random.RandomState):
        return _text(generator.get_state(legacy=False))
    return _text(generator.bit_generator.state)


def all_equal(results: Sequence[Any]) -> bool:
    """Whether structures of tensors or arrays are the same to the last bit."""
    first, *others = (
        [np.asarray(leaf) for leaf in tf.nest.flatten(result, expand_composites=True)]
        for result in results
    )
    return all(len(first) == len(other) and all(map(_same_array, first, other)) for other in others)


def _same_array(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")


def _text(state) -> str:
    """A state as text; that of the Mersenne Twister holds an array, whose repr is cut short."""
    if isinstance(state, dict):
        return str({key: _text(value) for key, value in state.items()})
    return str(state.tolist()) if isinstance(state, np.ndarray) else repr(state)
