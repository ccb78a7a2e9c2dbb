"""Fresh models of a case, all in one state to start from."""

import functools
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity.errors import failure_of
from tfk_patterns.parity.model_case import ModelCase
from tfk_patterns.parity.model_fitting import take_a_step
from tfk_patterns.parity.outcome import Failure
from tfk_patterns.parity.reference import check_made, equal_circumstances


class ModelReference:
    """The state that every observation of a model starts from.

    Args:
        case: The case.

    Raises:
        TypeError: `case.make` returns something that is no model of this Keras generation.
        ValueError: `case.make` returns a model that is not compiled, or one model again and again.
    """

    def __init__(self, case: ModelCase):
        self._case = case
        try:
            model, second = self.fresh(), self.fresh()
        except Failure:
            return  # every observation says so
        check_made(case.make, model, second, keras.Model)
        if not _keras.is_compiled(model):
            raise ValueError(
                "`make` must return a compiled model: call `model.compile(...)` in it. Received: "
                f"{model!r}, which is not compiled"
            )

    def fresh(self):
        """A model as `make` returns it.

        Raises:
            Failure: `make` raised an error.
        """
        try:
            with equal_circumstances():
                return self._case.make()
        except Exception as error:
            raise failure_of(error, "the model cannot be made", check="fit") from error

    def make(self):
        """A fresh model, built, in the reference state.

        Raises:
            Failure: The model cannot be built, or is another one each time.
        """
        state, model = self.state, self.built(self.fresh())
        variables = self.variables(model)
        if [tuple(v.shape) for v in variables] != [value.shape for value in state]:
            raise Failure(
                "`make` returns models with other variables each time",
                hint="Return a fresh model with the same arguments from each call of `make`.",
                check="fit",
            )
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)
        model.reset_metrics()
        return model

    def variables(self, model) -> list:
        """The variables that make the state: of the model, and of a warmed-up optimizer."""
        optimizers = _keras.optimizers_of(model) if self._needs_a_step else []
        return [
            *_keras.state_variables(model),
            *(v for optimizer in optimizers for v in _keras.optimizer_variables(optimizer)),
        ]

    @functools.cached_property
    def state(self) -> list[np.ndarray]:
        """The values of those variables in the first model."""
        return [np.asarray(tf.convert_to_tensor(v)) for v in self.variables(self.model)]

    @functools.cached_property
    def model(self):
        """The model, built, that gave the state; not to be trained."""
        return self.built(self.fresh())

    def built(self, model):
        """The model, with all its variables made.

        Raises:
            Failure: The model can neither be called nor trained.
        """
        with equal_circumstances():
            if self._needs_a_step:
                self._take_a_step(model)
            else:
                self._call(model)
        return model

    @functools.cached_property
    def batch(self) -> dict[str, Any]:
        """The data of the first step: `{"x", "y", "sample_weight"}`."""
        return self.rows(slice(0, self._case.batch_size))

    def rows(self, part: slice) -> dict[str, Any]:
        """The data of some samples: `{"x", "y", "sample_weight"}`, `None`s kept."""
        case = self._case
        data = {"x": case.x, "y": case.y, "sample_weight": case.sample_weight}
        return tf.nest.map_structure(lambda leaf: None if leaf is None else leaf[part], data)

    @functools.cached_property
    def _needs_a_step(self) -> bool:
        """Whether only a training step makes all variables: some models have no `call`."""
        model = self.fresh()
        try:
            with equal_circumstances():
                self._call(model)
        except Exception:  # a step says what is wrong, if it fails as well
            return True
        before = len(model.variables)
        try:
            with equal_circumstances():
                self._take_a_step(model)
        except Failure:  # `fit` says so
            return False
        return len(model.variables) > before

    def _call(self, model) -> None:
        if not (model.built and model.weights):
            model(self.batch["x"], training=False)

    def _take_a_step(self, model) -> None:
        try:
            _keras.run_in_mode(model, "eager")
            take_a_step(model, self.batch)
        except Exception as error:
            raise failure_of(
                error,
                "the model can neither be called nor trained",
                hint="Call `fit` on the data of the case by hand to see the whole traceback.",
                check="fit",
            ) from error
