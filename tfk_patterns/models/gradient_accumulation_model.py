"""Gradient accumulation."""

import copy
import inspect
from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, _validate
from tfk_patterns._replicas import run_where, sum_over_replicas
from tfk_patterns.models._accumulated_gradients import AccumulatedGradients
from tfk_patterns.models.train_step_model import TrainStepModel


@_keras.register
class GradientAccumulationModel(TrainStepModel):
    """Moves its weights once every few batches, by the mean gradient of all their samples.

    It trains as with batches `steps` times as large, in the memory of small ones: weights are equal
    to rounding, but for layers that mix samples (as batch normalisation). Batches of different
    sizes count by their samples. The optimizer sees applied updates alone: its `iterations`, a
    learning-rate schedule, clipping, weight decay and moving averages go by them. So they do
    under a strategy, where the groups are the same on all replicas.

    Of the last group of an epoch, which may be incomplete, `fit` applies the mean, before the
    epoch is validated; or with `last_group="carry"` leaves it to be completed in the next epoch,
    also in another call of `fit`. `.keras` and `.weights.h5` files keep what is not yet applied,
    for such a model with the same trainable weights; a checkpoint of TensorFlow does not. In a loop
    of your own call `apply_incomplete_group` at the end of an epoch.

    Sparse gradients, as of `Embedding`, are added up as dense ones. In mixed precision a batch
    whose gradients are not finite takes its group with it.

    Args:
        *args: Of `keras.Model` or `keras.Sequential`, as in `TrainStepModel`.
        steps: How many batches make one update, at least 1.
        last_group: `"apply"` or `"carry"`.
        **kwargs: As in `TrainStepModel`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: `steps` is less than 1, or `last_group` is something else; in `fit`, before the
            first step, the loss is a sum over samples, or the optimizer accumulates gradients too.

    Example:

    >>> import tensorflow as tf
    >>> from tensorflow import keras
    >>> import tfk_patterns
    >>> layers = [keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")]
    >>> model = tfk_patterns.models.GradientAccumulationModel(layers, steps=4)
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(tf.ones((32, 1)), tf.zeros((32, 1)), batch_size=2, verbose=0)
    >>> int(model.optimizer.iterations)  # 16 batches of 2, as 4 of 8
    4
    """

    def __init__(self, *args: Any, steps: int = 2, last_group: str = "apply", **kwargs: Any):
        steps = _validate.positive_integer("steps", steps)
        last_group = _validate.one_of("last_group", last_group, ("apply", "carry"))
        super().__init__(*args, **kwargs)
        self.steps = steps
        self.last_group = last_group
        self._group = AccumulatedGradients()

    def _check_compiled(self) -> None:
        if self._sums_samples():
            raise ValueError(
                "`loss` must be a mean over samples, where gradients are averaged over batches. "
                "Received: a loss with reduction='sum'"
            )
        optimizer = _keras.inner_optimizer(self.optimizer)
        own_steps = getattr(optimizer, "gradient_accumulation_steps", None)
        if own_steps:
            raise ValueError(
                "`optimizer` must leave accumulation to the model, by its argument `steps`. "
                f"Received: gradient_accumulation_steps={own_steps}"
            )

    def make_train_function(self, force: bool = False):
        if force or self.train_function is None:
            self._group.apply = None  # it was traced with what `compile` was given before
        return super().make_train_function(force)

    def fit(self, *args: Any, **kwargs: Any):
        """As `keras.Model.fit`."""
        call = inspect.signature(super().fit).bind(*args, **kwargs)
        for callback in self._own_callbacks():
            given = call.arguments.get("callbacks")
            call.arguments["callbacks"] = _preceded(given, callback, self)
        return super().fit(*call.args, **call.kwargs)

    def _own_callbacks(self) -> list:
        return [_ApplyLastGroup()] if self.last_group == "apply" else []

    def apply_incomplete_group(self) -> None:
        """Applies what an incomplete group holds, where there is any."""
        if not self._group.built:
            return
        if self._group.apply is None:
            run = self._run_on_replicas
            self._group.apply = run if self.run_eagerly else tf.function(run)
        self._group.apply()

    def _run_on_replicas(self) -> None:
        self.distribute_strategy.run(self._apply_started_group)

    def _apply_started_group(self) -> None:
        run_where(self._group.batches > 0, self._apply)

    def _use_gradients(self, gradients, samples) -> None:
        self._group.build(self.trainable_weights, self.optimizer)
        self._group.add(gradients, sum_over_replicas(samples))
        run_where(self._group.batches >= self.steps, self._apply)

    def _apply(self) -> None:
        self.apply_gradients(self._group.mean())
        self._group.clear()

    def save_own_variables(self, store) -> None:
        super().save_own_variables(store)
        self._group.save(store)

    def load_own_variables(self, store) -> None:
        rest = self._group.load(store, self.trainable_weights)
        super().load_own_variables(rest)


class _ApplyLastGroup(keras.callbacks.Callback):
    """Applies an incomplete group at the end of an epoch, before `fit` validates."""

    def on_test_begin(self, logs=None):
        self.model.apply_incomplete_group()

    def on_epoch_end(self, epoch, logs=None):
        self.model.apply_incomplete_group()


def _preceded(callbacks, first, model):
    """Callbacks in each form that `fit` takes, after one more; what was given stays as it is."""
    if not isinstance(callbacks, keras.callbacks.CallbackList):
        return [first, *([] if callbacks is None else tf.nest.flatten(callbacks))]
    first.set_model(model)  # which Keras leaves to who makes such a list
    preceded = copy.copy(callbacks)
    preceded.callbacks = [first, *callbacks.callbacks]
    return preceded
