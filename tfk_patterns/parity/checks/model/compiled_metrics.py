"""The metrics of `compile` that `fit` logs."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import logs_by_name
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.model_steps import LOG_TOLERANCE, steps_of_epochs, tally, why_mixed
from tfk_patterns.parity.models import AttachMask
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.recorded_step import Step
from tfk_patterns.parity.reference import equal_circumstances

_METRICS_HINT = (
    "Update the metrics of `compile(metrics=...)` in `train_step`: "
    "`return self.compute_metrics(x, y, y_pred, sample_weight)`, as "
    "`tfk_patterns.models.TrainStepModel` does."
)
_OWN_METRIC_HINT = (
    "The model has no `train_step` of its own: a metric must depend on nothing but the targets, "
    "outputs and weights since its `reset_state`, and be the same however often it is made."
)


@define_check(
    follows=("fit",), link="https://keras.io/guides/custom_train_step_in_tensorflow/", fast=True
)
def compiled_metrics(subject):
    """The metrics of `compile(metrics=...)` are in the history, equal to a recomputation.

    Bug: Where a `train_step` does not update the metrics of `compile`, they are missing from the
    history, without a warning, whichever one asks for. Keras 3 may raise instead
    (https://github.com/xuxingya/tf2crf/issues/31).

    Broken::

        class Own(keras.Sequential):
            def train_step(self, data):
                x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
                with tf.GradientTape() as tape:
                    y_pred = self(x, training=True)
                    loss = self.compute_loss(x, y, y_pred, sample_weight)
                gradients = tape.gradient(loss, self.trainable_weights)
                self.optimizer.apply_gradients(zip(gradients, self.trainable_weights))
                return {metric.name: metric.result() for metric in self.metrics}


        def make():
            model = Own([keras.Input((4,)), keras.layers.Dense(1)])
            model.compile("sgd", "mse", metrics=["mae"])
            return model


        case = ModelCase(make, x, y)

    Mended::

        class Own(keras.Sequential):
            def train_step(self, data):
                x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
                with tf.GradientTape() as tape:
                    y_pred = self(x, training=True)
                    loss = self.compute_loss(x, y, y_pred, sample_weight)
                gradients = tape.gradient(loss, self.trainable_weights)
                self.optimizer.apply_gradients(zip(gradients, self.trainable_weights))
                replicas = tf.distribute.get_strategy().num_replicas_in_sync
                for metric in self.metrics:
                    if metric.name == "loss":
                        metric.update_state(loss * replicas, sample_weight=tf.shape(x)[0])
                return self.compute_metrics(x, y, y_pred, sample_weight)


        def make():
            model = Own([keras.Input((4,)), keras.layers.Dense(1)])
            model.compile("sgd", "mse", metrics=["mae"])
            return model


        case = ModelCase(make, x, y)
    """
    fitted = subject.fitted  # fails where a metric was never updated
    if not _keras.metrics_arguments(subject.reference.model):
        raise Skip("the model is compiled without metrics")
    case, epochs = subject.case, steps_of_epochs(subject)
    if case.y is None or len(tf.nest.flatten(case.y)) > 1:
        raise Skip("metrics are recomputed for one array of targets only")
    for epoch, steps in enumerate(epochs):
        if not all(step.calls for step in steps):
            raise Skip("the model is not called in `train_step`")
        wanted = [_recomputed(subject, steps, which) for which in (0, -1)]
        for name in wanted[0]:
            if name not in fitted.history:
                raise Failure(
                    f"`{name}`, a metric of `compile(metrics=...)`, is not in the history",
                    "fit, run_eagerly=True",
                    _hint(subject),
                )
            values = [one[name] for one in wanted]
            found = fitted.history[name][epoch]
            closest = min(values, key=lambda value: np.max(np.abs(value - found)))
            tolerance = LOG_TOLERANCE[subject.compute_dtype]
            if not np.allclose(found, closest, rtol=tolerance, atol=tolerance, equal_nan=True):
                if why_mixed(subject):
                    raise Skip(why_mixed(subject))
                worst = int(np.argmax(np.abs(closest - found)))
                raise Failure(
                    f"history[{name!r}] is {found.flat[worst]:.7g} in epoch {epoch + 1} where the "
                    f"outputs of its steps give {closest.flat[worst]:.7g}",
                    "fit, run_eagerly=True",
                    _hint(subject),
                    max_abs_error=float(np.max(np.abs(found - closest))),
                )
            tally(subject, closest, found)


def _hint(subject) -> str:
    own = any(map(subject.overrides, ("train_step", "compute_metrics", "fit")))
    return _METRICS_HINT if own else _OWN_METRIC_HINT


def _recomputed(subject, steps: list[Step], which: int) -> dict[str, np.ndarray]:
    """The metrics over an epoch, from the outputs of one call in each step."""
    calls = [step.calls[which] for step in steps]
    if len(calls[0].outputs) > 1:
        raise Skip("metrics are recomputed for models of one output only")
    outputs = np.concatenate([call.outputs[0] for call in calls]).astype("float32")
    masks = [call.masks[0] for call in calls]
    case = subject.case
    if len(outputs) != case.samples:
        raise Skip("the model does not give one output for each sample")
    with equal_circumstances():
        given, model = _passing_on(outputs, masks)
        arguments = _keras.metrics_arguments(subject.model())
        fresh = {name: _fresh_metrics(metrics) for name, metrics in arguments.items()}
        model.compile(loss=_no_loss, **fresh)
        results = model.evaluate(
            given,
            tf.nest.flatten(case.y)[0],
            sample_weight=case.sample_weight,
            verbose=0,
            batch_size=case.batch_size,
            return_dict=True,
        )
    named = logs_by_name(results)
    return {name: np.asarray(v, np.float64) for name, v in named.items() if name != "loss"}


def _passing_on(outputs: np.ndarray, masks: list[np.ndarray | None]):
    """What to feed a model with that gives these outputs, with their mask, which Keras weighs by.

    And the model.
    """
    symbolic = keras.Input(outputs.shape[1:])
    passed = keras.layers.Activation("linear", dtype="float32")(symbolic)
    if any(mask is None for mask in masks):
        return outputs, keras.Model(symbolic, passed)
    mask = np.concatenate(masks)
    symbolic_mask = keras.Input(mask.shape[1:], dtype="bool")
    masked = AttachMask(dtype="float32")([passed, symbolic_mask])
    return [outputs, mask], keras.Model([symbolic, symbolic_mask], masked)


def _no_loss(targets, outputs):
    """Keras 3 evaluates no model without a loss."""
    return tf.zeros(tf.shape(outputs)[: max(1, len(outputs.shape) - 1)])


def _fresh_metrics(argument) -> list:
    metrics = tf.nest.flatten(argument)
    for metric in metrics:
        if isinstance(metric, keras.metrics.Metric):
            metric.reset_state()
    return metrics
