"""A compiled model while it is checked: what checks ask for, made once and shared."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity import model_fitting, modes
from tfk_patterns.parity.base_subject import BaseSubject
from tfk_patterns.parity.errors import failure_of, in_one_line
from tfk_patterns.parity.model_case import ModelCase
from tfk_patterns.parity.model_reference import ModelReference
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.recorded_step import Step
from tfk_patterns.parity.recording import Recorder
from tfk_patterns.parity.reference import equal_circumstances


class ModelSubject(BaseSubject):
    """What a check of a model is called with.

    Args:
        case: The case to check.

    Raises:
        TypeError: `case.make` returns something that is no model of this Keras generation.
        ValueError: The model is not compiled.
    """

    def __init__(self, case: ModelCase):
        super().__init__(case)
        self.reference = ModelReference(case)

    @functools.cached_property
    def data(self) -> dict[str, Any]:
        """All data of the case: `{"x", "y", "sample_weight"}`."""
        return self.reference.rows(slice(None))

    def model(self):
        """A fresh model, built, in the reference state."""
        return self.reference.make()

    @functools.cached_property
    def compute_dtype(self) -> str:
        """The coarsest dtype that a layer of the model computes in."""
        dtypes = {
            layer.compute_dtype or "float32" for layer in _keras.sublayers(self.reference.model)
        }
        for dtype in ("bfloat16", "float16"):
            if dtype in dtypes:
                return dtype
        return "float32"

    # Training in a mode

    @property
    def fitted(self) -> model_fitting.ModelFit:
        """Two epochs of `fit` with `run_eagerly=True`; made once."""
        return self._recorded[0]

    @property
    def steps(self) -> list[Step]:
        """What happened in those epochs, step by step."""
        return self._recorded[1]

    @property
    def merges_steps(self) -> bool:
        """Whether Keras takes several steps before it tells of them: `steps_per_execution`."""
        steps_of_epoch = -(-self.case.samples // self.case.batch_size)
        return self._recorded[2] < model_fitting.EPOCHS * steps_of_epoch

    def fit(self, mode: str) -> model_fitting.ModelFit:
        """Two epochs of `fit` in the graph or in XLA; made once."""
        return self._fitted_in(mode)[0]

    def fit_again(self, mode: str, model=None) -> model_fitting.ModelFit:
        """Two epochs of `fit` in a mode, of a fresh model if none is given."""
        model = self.model() if model is None else model
        try:
            with equal_circumstances():
                return model_fitting.fit(model, self.case, mode)
        except Exception as error:
            raise _as_finding(error, mode) from error

    @functools.cached_property
    def random_ops(self) -> modes.RandomOps:
        """The random operations in the trace of a training step."""
        return self._random_ops_of("train_step")

    @functools.cached_property
    def evaluates_at_random(self) -> bool:
        """Whether a step of `evaluate` draws random numbers."""
        try:
            return bool(self._random_ops_of("test_step"))
        except Exception:  # `evaluate` in the graph says so
            return False

    def _random_ops_of(self, method: str) -> modes.RandomOps:
        model = self._fitted_in("graph")[1]  # a step may need what `fit` sets
        batch = tf.nest.map_structure(
            lambda leaf: None if leaf is None else tf.convert_to_tensor(leaf), self.reference.batch
        )
        data = model_fitting.unpacked(batch)
        step = getattr(model, method)
        traced = tf.function(lambda *data: step(data), autograph=_keras.AUTOGRAPH)
        with equal_circumstances():
            return modes.random_ops(traced, *data)

    def _fitted_in(self, mode: str):
        def run():
            model = self.model()
            return self.fit_again(mode, model), model

        return self.shared(("fit", mode), run)

    # Inference

    @functools.cached_property
    def cannot_be_called(self) -> bool:
        """Whether the model has no `call` of use: it fails in training too, as `fit` does not."""
        for training in (False, True):
            try:
                self._called(self.model(), training)
            except Exception:  # counted, not hidden: what only inference fails at, `predict` says
                continue
            return False
        return True

    @functools.cached_property
    def is_random(self) -> bool:
        """Whether inference gives something else in each call."""
        if self.cannot_be_called:
            return False
        model = self.model()
        first, again = self._called(model), self._called(model)
        return not all(
            np.array_equal(*pair, equal_nan=True) for pair in zip(first, again, strict=True)
        )

    @functools.cached_property
    def why_not_evaluated(self) -> str | None:
        """Why `evaluate` cannot run, where the model defines a training step only."""
        if self.overrides("test_step") or not self.overrides("train_step"):
            return None
        model = self.model()
        _keras.run_in_mode(model, "eager")
        try:
            with equal_circumstances():
                model_fitting.evaluated(model, self.reference.batch, self.case.batch_size)
        except Exception as error:
            return f"the model cannot be evaluated: {in_one_line(error, 120)}"
        return None

    def overrides(self, method: str) -> bool:
        """Whether the model's class has a method of its own in the place of Keras'."""
        return _keras.overrides(self.reference.model, method)

    def recorded(self, run: Callable[[Any], Any], model=None) -> tuple[Any, list[Step]]:
        """What a function of a model, which runs it eagerly, returns, and the steps it took.

        Args:
            run: Takes the `Recorder`, whose `.model` is the model.
            model: A fresh one in the reference state by default.
        """
        recorder = Recorder(self.model() if model is None else model)
        _keras.run_in_mode(recorder.model, "eager")
        with equal_circumstances(), _keras.repeated_draws(), recorder.recording():
            result = run(recorder)
        return result, recorder.steps

    def _called(self, model, training: bool = False) -> list[np.ndarray]:
        with equal_circumstances():
            outputs = model(self.reference.batch["x"], training=training)
        return [np.asarray(output) for output in tf.nest.flatten(outputs)]

    @property
    def _recorded(self):
        return self.shared("recorded", self._record)

    def _record(self):
        def run(recorder):
            told = model_fitting.StepLogs(recorder.begin_step)
            fitted = model_fitting.fit(recorder.model, self.case, "eager", [told])
            return fitted, len(told.steps)

        try:
            (fitted, executions), steps = self.recorded(run)
            return fitted, steps, executions
        except Exception as error:
            raise _as_finding(error, "eager") from error


def trainable_values(model) -> list[np.ndarray]:
    """The values of the trainable weights."""
    return [np.asarray(tf.convert_to_tensor(weight)) for weight in model.trainable_weights]


def _as_finding(error: Exception, mode: str) -> Exception:
    if isinstance(error, Failure | Skip):
        return error
    reason = modes.why_not_compiled(error) if mode == "xla" else None
    if reason:
        return modes.CannotCompile(reason)
    if "metric has not yet been built" in str(error):
        return Failure(
            "`fit` asks a metric of `compile(metrics=...)` that no step has updated for its result",
            f"fit, {mode}",
            "Call `self.compute_metrics(x, y, y_pred, sample_weight)` in `train_step`, and return "
            "what it returns.",
            check="compiled_metrics",
        )
    where = "fit, run_eagerly=True" if mode == "eager" else f"fit, {mode}"
    hint = "" if mode == "eager" else "`train_step` and `call` must be traceable."
    return failure_of(error, "`fit` raised", where, hint, check="fit")
