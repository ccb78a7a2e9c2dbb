"""The loss that `fit` logs."""

from collections.abc import Iterator

import numpy as np

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.model_steps import LOG_TOLERANCE, scale_of_loss, steps_of_epochs, tally
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.recorded_step import Step

_LOSS_HINT = (
    "Keep the loss in a `keras.metrics.Mean` that is an attribute of the model, call "
    "`update_state(loss)` on it in every step, and return its `result()`; a loss tensor that is "
    "returned itself is lost or stands for the last batch only. "
    "`tfk_patterns.models.TrainStepModel` logs what its `compute_gradients` returns."
)

_TASK = " without model.losses"
_PICKS = {
    "": lambda values: values[0],
    " (last)": lambda values: values[-1],
    " (sum)": sum,
    " (mean)": np.mean,
}


@define_check(
    follows=("fit", "compiled_metrics", "loss_scaling"),
    link="https://keras.io/guides/custom_train_step_in_tensorflow/",
    fast=True,
)
def logged_loss(subject):
    """`loss` in the history is, for each epoch, the mean of the losses of its steps.

    Bug: A loss that `train_step` returns as a tensor is not averaged: Keras 2 logs that of the
    last batch for the whole epoch, and Keras 3 logs 0.0, from a metric that nobody has updated.
    Callbacks that watch `loss` act on it (https://github.com/keras-team/keras-io/issues/48).

    Broken::

        class Own(keras.Sequential):
            def train_step(self, data):
                x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
                with tf.GradientTape() as tape:
                    y_pred = self(x, training=True)
                    loss = tf.reduce_mean(tf.square(y - y_pred))
                gradients = tape.gradient(loss, self.trainable_weights)
                self.optimizer.apply_gradients(zip(gradients, self.trainable_weights))
                return {"loss": loss}


        def make():
            model = Own([keras.Input((4,)), keras.layers.Dense(1)])
            model.compile("sgd")
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
            model.compile("sgd", "mse")
            return model


        case = ModelCase(make, x, y)
    """
    logged = subject.fitted.history.get("loss")
    if logged is None:
        raise Skip("the history has no `loss`")
    per_epoch = steps_of_epochs(subject)
    means = [dict(_means(subject, steps)) for steps in per_epoch]
    names = [name for name in means[0] if all(name in mean for mean in means)]
    if not names:
        raise Skip("no loss could be seen: no gradient tape, loss object or `compute_loss` ran")
    tolerance = LOG_TOLERANCE[subject.compute_dtype]
    for name in names:
        wanted = np.array([mean[name] for mean in means])
        if np.allclose(logged, wanted, rtol=tolerance, atol=1e-6, equal_nan=True):
            tally(subject, wanted, logged)
            if _TASK in name:
                subject.tally.left_out["history['loss']"] = "it is logged without `model.losses`"
            return
    _fail(subject, logged, means, names)


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
        for which, pick in _PICKS.items():
            values = np.array([pick(numbers) for numbers in per_step])
            added = np.array([step.added or 0.0 for step in steps])
            values = values / scale
            totals = {"": values, " with model.losses": values + added}
            if not any(step.computed or step.losses for step in steps):
                # A step that is all its own may log its task apart.
                totals[_TASK] = values - added
            for extra, total in totals.items():
                yield f"{name}{which}{extra}", float(np.average(total, weights=rows))
                yield f"{name}{which}{extra}, by step", float(np.mean(total))
