"""Fresh layers of a case, all in one state to start from."""

import contextlib
import functools
import random
import warnings

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity import observation
from tfk_patterns.parity.case import LayerCase
from tfk_patterns.parity.data import Data, data_of
from tfk_patterns.parity.errors import MADE_IN_CALL, failure_of, makes_state
from tfk_patterns.parity.outcome import Failure

_NOISE = 0.1  # on trainable weights, so that zeros and ones do not hide what is done with them

_MAKE_HINT = "Call `make()` of the case by hand to see the whole traceback."
_CALL_HINT = (
    "Call it on the inputs of the case by hand to see the whole traceback. Their first axis is the "
    "batch."
)


class Reference:
    """The state that every observation of a case starts from, and the data it is fed.

    The state is that of a layer that was built, with a little noise on its trainable weights.

    Args:
        case: The case.

    Raises:
        TypeError: `case.make` returns something that is no layer of this Keras generation.
        ValueError: `case.make` returns one layer again and again.
    """

    def __init__(self, case: LayerCase):
        self._case = case
        try:
            layer, second = self.fresh(), self.fresh()
        except Failure:
            return  # every observation says so
        check_made(case.make, layer, second, keras.layers.Layer)

    @functools.cached_property
    def data(self) -> Data:
        """The data of the case."""
        return data_of(self._case)

    @functools.cached_property
    def layer(self):
        """A layer, built, that gave the state; not to be called.

        Raises:
            Failure: The layer cannot be built and called.
        """
        return self.built(self.fresh())

    def fresh(self):
        """A layer as `make` returns it.

        Raises:
            Failure: `make` raised an error.
        """
        try:
            with equal_circumstances():
                return self._case.make()
        except Exception as error:
            raise failure_of(
                error, "the layer cannot be made", "make", _MAKE_HINT, check="outputs"
            ) from error

    def built(self, layer, data: Data | None = None):
        """The layer, called once in eager mode so that all of it is built.

        Raises:
            Failure: The layer cannot be built and called.
        """
        try:
            with equal_circumstances():
                observation.call_layer(
                    layer, data or self.data, self._case.fixed_kwargs, training=False
                )
        except Exception as error:
            hint = _CALL_HINT
            hint = MADE_IN_CALL if makes_state(error) else hint
            raise failure_of(
                error, "the layer cannot be built and called", "eager", hint, check="outputs"
            ) from error
        return layer

    def make(self):
        """A fresh layer, built, in the reference state.

        Raises:
            Failure: The layer cannot be built and called, or is another one each time.
        """
        return self.restore(self.built(self.fresh()))

    def restore(self, layer):
        """Puts a built layer back into the reference state, and returns it.

        Raises:
            Failure: It has other variables than the layer that gave the state.
        """
        variables = _keras.state_variables(layer)
        if not _fit(variables, self.state):
            raise Failure(
                "`make` returns layers with other variables each time",
                hint="Return a fresh layer with the same arguments from each call of `make`.",
                check="tracked_variables",  # or it makes more of them when called again
            )
        for variable, value in zip(variables, self.state, strict=True):
            variable.assign(value)
        for metric in _keras.metrics_of(layer):
            metric.reset_state()
        return layer

    @functools.cached_property
    def state(self) -> list[np.ndarray]:
        """The values of the state variables, in Keras' order."""
        noise = np.random.default_rng(0)
        trainable = {id(variable) for variable in self.layer.trainable_variables}
        state = []
        for variable in _keras.state_variables(self.layer):
            value = np.asarray(tf.convert_to_tensor(variable))
            if id(variable) in trainable and tf.as_dtype(value.dtype).is_floating:
                value = (value + noise.uniform(0, _NOISE, value.shape)).astype(value.dtype)
            state.append(value)
        return state


def check_made(make, one, other, cls: type) -> None:
    """Checks what two calls of `make` returned.

    Raises:
        TypeError: It is no object of a class of this Keras generation.
        ValueError: It is one and the same.
    """
    _keras.check_generation_of(one)
    if not isinstance(one, cls):
        raise TypeError(
            f"`make` must return a tf.keras {cls.__name__}. Received: {one!r} "
            f"(of type {type(one).__name__})"
        )
    if other is one:
        raise ValueError(
            f"`make` must return a fresh {cls.__name__} each time, so that every mode starts from "
            f"the same state. Received: make={make!r}, which returned {one!r} twice"
        )


def _fit(variables, values) -> bool:
    """Whether the values can be assigned to the variables, some of an unknown size."""
    return len(variables) == len(values) and all(
        tf.TensorShape(variable.shape).is_compatible_with(value.shape)
        for variable, value in zip(variables, values, strict=True)
    )


@contextlib.contextmanager
def equal_circumstances(seed: int = 0):
    """Python's and NumPy's generators start alike, warnings are silent; all is as it was after.

    All: also the settings of TensorFlow and Keras that a layer must leave alone.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    settings, logger = _keras.global_settings(), tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    random.seed(seed)
    np.random.seed(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        _keras.restore_global_settings(settings)
        logger.setLevel(level)
        random.setstate(python_state)
        np.random.set_state(numpy_state)
