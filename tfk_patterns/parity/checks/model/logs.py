"""What `fit` logs."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.comparison import Difference
from tfk_patterns.parity.model_fitting import EPOCHS
from tfk_patterns.parity.model_steps import scale_of_loss
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.recorded_step import Step
from tfk_patterns.parity.reference import equal_circumstances

_TOLERANCE = {"float32": 2e-3, "float16": 2e-2, "bfloat16": 5e-2}  # relative to the loss
_LOSS_HINT = (
    "Keep the loss in a `keras.metrics.Mean` that is an attribute of the model, call "
    "`update_state(loss)` on it in every step, and return its `result()`; a loss tensor that is "
    "returned itself is lost or stands for the last batch only."
)
_METRICS_HINT = (
    "Update the metrics of `compile(metrics=...)` in `train_step`: "
    "`return self.compute_metrics(x, y, y_pred, sample_weight)`."
)


@define_check(
    follows=("fit", "compiled_metrics", "loss_scaling"),
    link="https://keras.io/guides/custom_train_step_in_tensorflow/",
    fast=True,
)
def logged_loss(subject):
    """`loss` in the history is, for each epoch, the mean of the losses of its steps."""
    logged = subject.fitted.history.get("loss")
    if logged is None:
        raise Skip("the history has no `loss`")
    per_epoch = _split(subject.steps, EPOCHS)
    means = [dict(_means(subject, steps)) for steps in per_epoch]
    names = [name for name in means[0] if all(name in mean for mean in means)]
    if not names:
        raise Skip("no loss could be seen: no gradient tape, loss object or `compute_loss` ran")
    tolerance = _TOLERANCE[subject.compute_dtype]
    for name in names:
        wanted = np.array([mean[name] for mean in means])
        if np.allclose(logged, wanted, rtol=tolerance, atol=1e-6, equal_nan=True):
            _tally(subject, wanted, logged)
            return
    _fail(subject, logged, means, names)


def _tally(subject, wanted, found):
    error = float(np.max(np.abs(found - wanted)))
    scale = float(np.max(np.abs(wanted)))
    subject.tally.add(Difference(None, error, error / scale if scale else 0.0))


def _fail(subject, logged, means, names):
    wanted = np.array([mean[names[0]] for mean in means])
    epoch = int(np.argmax(np.abs(logged - wanted)))
    raise Failure(
        f"history['loss'] is {logged[epoch]:.7g} in epoch {epoch + 1} where the {names[0]} of its "
        f"steps has the mean {wanted[epoch]:.7g}",
        "fit, run_eagerly=True",
        _LOSS_HINT,
        max_abs_error=float(np.max(np.abs(logged - wanted))),
    )


def _means(subject, steps: list[Step]) -> Iterator[tuple[str, float]]:
    """The mean over an epoch of each number that may rightly be called its loss."""
    rows = np.array([step.rows or subject.case.batch_size for step in steps], np.float64)
    for name, per_step, scale in (
        ("result of compute_loss", [step.computed for step in steps], 1.0),
        ("loss that is differentiated", [step.targets for step in steps], scale_of_loss(subject)),
        ("result of the loss object", [step.losses for step in steps], 1.0),
    ):
        if not all(per_step):
            continue
        if subject.merges_steps:  # what belongs to which of the steps is not known
            yield f"{name}, all calls", float(np.mean(np.concatenate(per_step)) / scale)
            continue
        for which, pick in (("", lambda v: v[0]), (" (last)", lambda v: v[-1]), (" (sum)", sum)):
            values = np.array([pick(numbers) for numbers in per_step])
            added = np.array([step.added or 0.0 for step in steps])
            values = values / scale
            for extra, total in (("", values), (" with model.losses", values + added)):
                yield f"{name}{which}{extra}", float(np.average(total, weights=rows))
                yield f"{name}{which}{extra}, by step", float(np.mean(total))


def _split(steps: list[Step], parts: int) -> list[list[Step]]:
    size = len(steps) // parts
    return [steps[part * size : (part + 1) * size] for part in range(parts)]


@define_check(
    follows=("fit",), link="https://keras.io/guides/custom_train_step_in_tensorflow/", fast=True
)
def compiled_metrics(subject):
    """The metrics of `compile(metrics=...)` are in the history, equal to a recomputation."""
    fitted = subject.fitted  # fails where a metric was never updated
    if not _keras.metrics_arguments(subject.reference.model):
        raise Skip("the model is compiled without metrics")
    case, epochs = subject.case, _split(subject.steps, EPOCHS)
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
                    _METRICS_HINT,
                )
            values = [one[name] for one in wanted]
            found = fitted.history[name][epoch]
            closest = min(values, key=lambda value: abs(value - found))
            tolerance = _TOLERANCE[subject.compute_dtype]
            if not np.isclose(found, closest, rtol=tolerance, atol=tolerance, equal_nan=True):
                raise Failure(
                    f"history[{name!r}] is {found:.7g} in epoch {epoch + 1} where the outputs of "
                    f"its steps give {closest:.7g}",
                    "fit, run_eagerly=True",
                    _METRICS_HINT,
                    max_abs_error=abs(found - closest),
                )
            _tally(subject, np.array(closest), np.array(found))


def _recomputed(subject, steps: list[Step], which: int) -> dict[str, float]:
    """The metrics over an epoch, from the outputs of one call in each step."""
    outputs = [step.calls[which].outputs for step in steps]
    if len(tf.nest.flatten(outputs[0])) > 1:
        raise Skip("metrics are recomputed for models of one output only")
    outputs = np.concatenate([tf.nest.flatten(output)[0] for output in outputs])
    case = subject.case
    if len(outputs) != case.samples:
        raise Skip("the model does not give one output for each sample")
    with equal_circumstances():
        model = keras.Sequential(
            [keras.Input(outputs.shape[1:]), keras.layers.Activation("linear", dtype="float32")]
        )
        arguments = _keras.metrics_arguments(subject.model())
        fresh = {name: _fresh_metrics(metrics) for name, metrics in arguments.items()}
        model.compile(loss=_no_loss, **fresh)
        results = model.evaluate(
            outputs.astype("float32"),
            tf.nest.flatten(case.y)[0],
            sample_weight=case.sample_weight,
            verbose=0,
            batch_size=case.batch_size,
            return_dict=True,
        )
    return {name: float(value) for name, value in results.items() if name != "loss"}


def _no_loss(targets, outputs):
    """Keras 3 evaluates no model without a loss."""
    return tf.zeros(tf.shape(outputs)[:1])


def _fresh_metrics(argument) -> list:
    metrics = tf.nest.flatten(argument)
    for metric in metrics:
        if isinstance(metric, keras.metrics.Metric):
            metric.reset_state()
    return metrics
