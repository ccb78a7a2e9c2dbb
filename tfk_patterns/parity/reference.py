"""Fresh layers of a case, all in one state to start from."""

import contextlib
import functools
import random
import re
import textwrap
import warnings
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity import observation
from tfk_patterns.parity.case import LayerCase
from tfk_patterns.parity.outcome import Failure


class Reference:
    """The state that every observation of a case starts from, and the data it is fed.

    Args:
        case: The case.

    Raises:
        TypeError: `case.make` returns something that is no layer of this Keras generation.
        ValueError: `case.make` returns one layer again and again.
    """

    def __init__(self, case: LayerCase):
        self._case = case
        layer = self._make()
        _keras.check_generation_of(layer)
        if not isinstance(layer, keras.layers.Layer):
            raise TypeError(
                f"`make` must return a tf.keras layer. Received: {layer!r} "
                f"(of type {type(layer).__name__})"
            )
        if self._make() is layer:
            raise ValueError(
                "`make` must return a fresh layer each time, so that every mode starts from the "
                f"same state. Received: make={case.make!r}, which returned {layer!r} twice"
            )

    @functools.cached_property
    def data(self) -> dict[str, Any]:
        """The case's `{"inputs", "mask", "kwargs"}` as tensors."""
        return tf.nest.map_structure(
            lambda leaf: None if leaf is None else tf.convert_to_tensor(leaf),
            {
                "inputs": self._case.inputs,
                "mask": self._case.mask,
                "kwargs": self._case.batched_kwargs,
            },
        )

    @functools.cached_property
    def layer(self):
        """A layer, built, that gave the state; not to be called."""
        return self._make_built()

    def make(self):
        """A fresh layer, built, in the reference state.

        Raises:
            Failure: The layer cannot be built and called, or is another one each time.
        """
        try:
            state, layer = self._state, self._make_built()
        except Exception as error:
            raise Failure(
                f"the layer cannot be built and called: {in_one_line(error)}",
                where="eager, training=False",
                hint="Call it on the inputs of the case by hand to see the whole traceback.",
            ) from error
        variables = _keras.state_variables(layer)
        if [tuple(v.shape) for v in variables] != [value.shape for value in state]:
            raise Failure(
                "`make` returns layers with other variables each time",
                hint="Return a fresh layer with the same arguments from each call of `make`.",
            )
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)
        for metric in _keras.metrics_of(layer):
            metric.reset_state()
        return layer

    @functools.cached_property
    def _state(self) -> list[np.ndarray]:
        variables = _keras.state_variables(self.layer)
        return [np.asarray(tf.convert_to_tensor(variable)) for variable in variables]

    def _make_built(self):
        """A fresh layer, called once in eager mode so that all of it is built."""
        layer = self._make()
        with equal_circumstances():
            observation.call_layer(layer, self.data, self._case.fixed_kwargs, training=False)
        return layer

    def _make(self):
        with equal_circumstances():
            return self._case.make()


@contextlib.contextmanager
def equal_circumstances():
    """Python's and NumPy's generators start alike, warnings are silent; all is as it was after."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(0)
    np.random.seed(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def in_one_line(error: Exception) -> str:
    """Type and text of an error, cut to what a report has room for."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # Keras 3 colours its messages
    return f"{type(error).__name__}: {textwrap.shorten(text, 300, placeholder=' ...')}"
