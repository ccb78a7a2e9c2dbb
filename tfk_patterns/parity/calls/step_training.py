"""Whether a training step tells its layers that they are trained."""

import inspect

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.calls.watching import watched_calls
from tfk_patterns.parity.model_fitting import take_a_step
from tfk_patterns.parity.model_subject import ModelSubject
from tfk_patterns.parity.outcome import Failure
from tfk_patterns.parity.reference import equal_circumstances


def require_training(subject: ModelSubject) -> None:
    """A `train_step` of one's own calls with `training=True` what behaves differently in training.

    Raises:
        Failure: The model is called without the argument, and nothing in it is called with it.
    """
    if not subject.overrides("train_step") or subject.cannot_be_called:
        return
    given = _given_in_a_step(subject)
    if given and True not in given and given[0] is None and _differs(subject):
        raise Failure(
            "nothing in the training step is called with `training=True`, though the model gives "
            "something else with it",
            "train_step, run_eagerly=True",
            "Call `self(x, training=True)` in `train_step`: dropout, noise and batch normalisation "
            "otherwise behave as in inference.",
        )


def _given_in_a_step(subject) -> list[bool | None]:
    """The `training` argument of each call of a layer in a step, the first call of the model first.

    Empty where the model itself is not called.
    """
    model, found, of_model = subject.model(), [], []

    def note(layer, *args, **kwargs):
        if all(tf.is_tensor(leaf) and hasattr(leaf, "numpy") for leaf in tf.nest.flatten(args[:1])):
            (of_model if layer is model else found).append(_training_in(layer, args, kwargs))

    _keras.run_in_mode(model, "eager")
    with watched_calls(note), equal_circumstances():
        take_a_step(model, subject.reference.batch)
    return of_model + found if of_model else []


def _training_in(layer, args, kwargs) -> bool | None:
    """The `training` argument of a call, wherever it stands; True where `call` has that default."""
    parameters = inspect.signature(layer.call).parameters
    given = {**dict(zip(parameters, args, strict=False)), **kwargs}.get("training")
    trains_by_default = "training" in parameters and parameters["training"].default is True
    return True if given is None and trains_by_default else given


def _differs(subject) -> bool:
    """Whether outputs or variables are others after a call in training."""
    results = []
    for training in (False, True):
        model = subject.model()
        with equal_circumstances(), _keras.repeated_draws():
            outputs = model(subject.reference.batch["x"], training=training)
        results.append([*tf.nest.flatten(outputs), *model.non_trainable_variables])
    one, other = ([np.asarray(tf.convert_to_tensor(leaf)) for leaf in r] for r in results)
    return not all(np.array_equal(*pair, equal_nan=True) for pair in zip(one, other, strict=True))
