"""Training a model on two devices."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity import model_fitting, rounding
from tfk_patterns.parity.arrays import without_number
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.checks.model.gradient_clipping import clipping_of
from tfk_patterns.parity.comparison import Difference, named_leaves
from tfk_patterns.parity.errors import failure_of
from tfk_patterns.parity.model_subject import trainable_values
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.replication.devices import two_replicas
from tfk_patterns.parity.replication.step_halves import StepHalves

_TOLERANCE = {"float32": 1e-3, "float16": 3e-2, "bfloat16": 1e-1}
_HINT = (
    "Each replica sees its own share of the batch, and gradients are summed over the replicas. "
    "Divide a loss by the global batch size, as `self.compute_loss(...)` and "
    "`tf.nn.compute_average_loss` do, not by the local one; log it unscaled. "
    "`tfk_patterns.models.TrainStepModel` does so, for shares of any size."
)
_COND_HINT = (
    "TensorFlow lets no replica apply gradients in a `tf.cond`, a `tf.while_loop` or a tf.function "
    "inside of the step: call `apply_gradients` outside of them, in every step, or let "
    "`tfk_patterns.models.GradientAccumulationModel` accumulate. A model that is for one device "
    "may say so in `expected_failures`."
)
_LOSS_HINT = (
    "On Keras 3 `compute_loss` has divided the loss by the number of replicas: log "
    "`loss * tf.distribute.get_strategy().num_replicas_in_sync`."
)
_LOG_HINT = (
    "Keep what is logged in a metric of the model, such as a `keras.metrics.Mean`, and log its "
    "`result()`: of a tensor that `train_step` returns itself, that of one replica is logged."
)


@define_check(
    follows=("fit", "logged_loss", "custom_layers"),
    link="https://www.tensorflow.org/tutorials/distribute/custom_training",
)
def replicas(subject):
    """A training step on two replicas is that on one device with the same batch: weights, logs.

    Bug: Each replica takes the mean over its own share of the batch, and the gradients of all
    are summed: on eight devices the steps are eight times as large. Training diverges, or needs
    another learning rate for each number of devices
    (https://www.tensorflow.org/tutorials/distribute/custom_training).

    Broken::

        class Own(keras.Sequential):
            def train_step(self, data):
                x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
                with tf.GradientTape() as tape:
                    y_pred = self(x, training=True)
                    loss = tf.reduce_mean(tf.abs(y - y_pred))
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
            model.compile("sgd", "mae")
            return model


        case = ModelCase(make, x, y)
    """
    if subject.random_ops:
        raise Skip("each replica draws for itself")
    if subject.case.batch_size < 2:
        raise Skip("a step has one sample, and two replicas share its batch")
    if subject.case.batch_size % 2:
        rows = 2 * (subject.case.batch_size // 2)
        subject.tally.left_out[f"{subject.case.batch_size - rows} sample"] = "replicas share evenly"
    if any(clipping_of(_keras.inner_optimizer(o)) for o in _optimizers(subject)):
        raise Skip("the optimizer clips, which Keras 3 does on each replica before their sum")
    strategy = two_replicas()
    if _is_batch_coupled(subject):
        raise Skip("samples have to do with one another: each replica sees its own only")
    expected, one = _one_step(subject, tf.distribute.get_strategy())
    try:
        found, two = _one_step(subject, strategy)
    except (Failure, Skip):
        raise
    except Exception as error:
        hint = _COND_HINT if "`merge_call` called" in str(error) else _HINT
        message = "a step under MirroredStrategy raised"
        raise failure_of(error, message, "two replicas", hint) from error
    if len(expected.variables) == len(found.variables):
        # In a strategy's scope the names can begin otherwise; the order is the same.
        named = dict(zip(expected.variables, found.variables.values(), strict=True))
        found = dataclasses.replace(found, variables=named)
    for what in ("variables", "optimizers", "history"):
        _compare(subject, what, getattr(expected, what), getattr(found, what))
    for weight, other in zip(trainable_values(one), trainable_values(two), strict=True):
        subject.compare(np.isfinite(weight), np.isfinite(other), "two replicas", "finite weights")


def _optimizers(subject) -> list:
    return _keras.optimizers_of(subject.reference.model)


def _compare(subject, what, expected, found):
    tolerance = _TOLERANCE[subject.compute_dtype]
    wanted, got = dict(named_leaves(expected, what)), dict(named_leaves(found, what))
    missing = [name for name in wanted if name not in got]
    if missing:
        raise Failure(
            f"{', '.join(missing)} is missing on two replicas", "fit, two replicas", _HINT
        )
    for name in wanted:
        if wanted[name].dtype.kind != "f" or wanted[name].shape != got[name].shape:
            continue
        scale = np.max(np.abs(wanted[name]), initial=1e-3)
        error = float(np.max(np.abs(wanted[name] - got[name]), initial=0.0))
        if not error <= tolerance * scale:
            if _depends_on_whole_batch(subject, name):
                continue
            if not _keras.ADDS_UP_ROWS and wanted[name].shape in subject.steps[0].by_rows:
                subject.tally.left_out[name] = "Keras takes equal rows of two replicas one by one"
                continue
            if rounding.within(wanted[name], got[name], _nudged(subject, what)[name]):
                subject.tally.left_out[f"{name}, to the last digits"] = rounding.REASON
                continue
            index = np.unravel_index(np.argmax(np.abs(wanted[name] - got[name])), got[name].shape)
            raise Failure(
                f"{name} is {got[name][index]:.7g} on two replicas where one device gives "
                f"{wanted[name][index]:.7g}",
                "fit, two replicas",
                _hint(name),
                max_abs_error=error,
                max_rel_error=error / scale,
            )
        subject.tally.add(Difference(None, error, error / scale))


def _nudged(subject, what: str) -> dict[str, np.ndarray]:
    """The same of a step on one device, from weights that are a little others."""

    def run():
        return _one_step(subject, tf.distribute.get_strategy(), rounding.nudged)[0]

    fit = subject.shared("nudged step", run)
    return dict(named_leaves(getattr(fit, what), what))


def _hint(name: str) -> str:
    if name == "history['loss']":
        return _LOSS_HINT
    return _LOG_HINT if name.startswith("history[") else _HINT


def _depends_on_whole_batch(subject, name: str) -> bool:
    """Whether something is rightly another on replicas: a metric or state of the whole batch.

    A log that is in no metric is that of one replica, which nobody wants.

    Raises:
        Skip: So is the loss, and thus all that training changes.
    """
    halves = subject.shared("halves of a step", lambda: StepHalves.of(subject))
    if not halves.losses_add_up:
        raise Skip(
            "the loss of a batch is neither the mean nor the sum of the losses of its halves, on "
            "one device either, as where samples are compared with one another or steps are "
            "masked: each replica sees its own share of the batch"
        )
    in_metrics = {without_number(metric.name) for metric in subject.reference.model.metrics}
    others = {f"history[{log!r}]" for log in halves.others & in_metrics - {"loss"}}
    others |= {f"variables[{variable!r}]" for variable in halves.others}
    if name not in others:
        return False
    reason = "on one device too, a batch does not give the mean or sum of what its halves give"
    subject.tally.left_out[name] = reason
    return True


def _one_step(subject, strategy, changed=lambda model: model):
    """The `ModelFit` of one step on the first batch, and the model."""
    batch = subject.reference.batch
    size = 2 * (subject.case.batch_size // 2)
    arrays = model_fitting.unpacked(batch)
    arrays = tf.nest.map_structure(lambda a: a[:size], _as_tuples(arrays))
    data = tf.data.Dataset.from_tensor_slices(arrays).batch(size)
    with strategy.scope(), equal_circumstances():
        model = changed(subject.model())
        _keras.run_in_mode(model, "graph")
        logs = model_fitting.StepLogs()
        history = model.fit(data, epochs=1, verbose=0, callbacks=[logs]).history
    return model_fitting.fit_of(model, history, logs.steps), model


def _as_tuples(structure):
    """Lists as tuples, since tf.data takes a list for one array."""
    if isinstance(structure, list | tuple):
        return tuple(_as_tuples(part) for part in structure)
    if isinstance(structure, dict):
        return {key: _as_tuples(part) for key, part in structure.items()}
    return structure


def _is_batch_coupled(subject) -> bool:
    """Whether in training the outputs of a sample depend on the others, as batch statistics do."""
    if subject.cannot_be_called:
        return False
    case = subject.case
    half = slice(0, case.batch_size // 2)
    with equal_circumstances():
        whole = subject.model()(subject.reference.batch["x"], training=True)
        part = subject.model()(subject.reference.rows(half)["x"], training=True)
    return any(
        np.ndim(a) and not _are_close(np.asarray(a)[half], np.asarray(b))
        for a, b in zip(tf.nest.flatten(whole), tf.nest.flatten(part), strict=True)
    )


def _are_close(one, other) -> bool:
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-3, atol=1e-5)
