"""Evaluation and prediction."""

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import values_by_name
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import failure_of
from tfk_patterns.parity.model_fitting import evaluated
from tfk_patterns.parity.outcome import Failure
from tfk_patterns.parity.reference import equal_circumstances

_PREDICT_HINT = (
    "In `predict_step` call `self(x, training=False)`, change no variable, and return the outputs."
)
_TEST_HINT = (
    "In `test_step` call `self(x, training=False)`, update no weights, and return "
    "`self.compute_metrics(x, y, y_pred, sample_weight)` after `self.compute_loss(...)`."
)
_NO_TEST_STEP = (
    "A loss that `train_step` computes by itself needs a `test_step` that does so too, and that "
    "updates its metric; `validation_data` in `fit` calls it as well."
)


@define_check(
    follows=("fit", "custom_layers"),
    link="https://keras.io/guides/custom_train_step_in_tensorflow/"
    "#providing-your-own-evaluation-step",
)
def evaluate_predict(subject):
    """`evaluate` and `predict` run in inference, change nothing, repeat, and fit one another.

    Bug: A model that is to draw its dropout at inference is called with `training=True`. Batch
    normalisation then uses the statistics of the batch, and moves its averages: each prediction
    silently changes the model (https://github.com/SeldonIO/alibi-detect/issues/232).

    Broken::

        class MonteCarlo(keras.Sequential):
            def predict_step(self, data):
                x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
                return self(x, training=True)


        def make():
            layers = keras.layers
            hidden = [layers.BatchNormalization(), layers.Dropout(0.5)]
            model = MonteCarlo([keras.Input((4,)), *hidden, layers.Dense(1)])
            model.compile("sgd", "mse")
            return model


        case = ModelCase(make, x, y)

    Mended::

        def make():
            inputs = keras.Input((4,))
            hidden = keras.layers.BatchNormalization()(inputs)
            hidden = keras.layers.Dropout(0.5)(hidden, training=True)  # at inference too
            model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
            model.compile("sgd", "mse")
            return model


        case = ModelCase(make, x, y)
    """
    _check_predict(subject)
    _check_evaluate(subject)
    subject.skip_if_nothing("the model defines neither `predict` nor `evaluate`")


def _check_predict(subject):
    def run(recorder):
        model, case = recorder.model, subject.case
        before = _state(model)
        predicted = model.predict(case.x, batch_size=case.batch_size, verbose=0)
        after = _state(model)
        called = model(case.x, training=False)
        return before, after, predicted, tf.nest.map_structure(np.asarray, called)

    try:
        (before, after, predicted, called), steps = subject.recorded(run)
    except Exception as error:
        if subject.cannot_be_called:
            subject.tally.left_out["predict"] = "the model has no `call`"
            return
        raise failure_of(error, "`predict` raised", "predict, eager", _PREDICT_HINT) from error
    _check_inference(steps, "predict", _PREDICT_HINT)
    subject.compare(before, after, "predict", "variables", _PREDICT_HINT, "the model before it")
    if subject.is_random:
        subject.tally.left_out["values of predict"] = "inference is random"
        return
    if subject.overrides("predict_step"):
        subject.tally.left_out["values of predict"] = "`predict_step` is the model's own"
        return
    if _are_as_wide_as_the_batch(called, predicted):
        subject.tally.left_out["values of predict"] = "outputs have an axis as long as the batch"
        return
    subject.compare(
        tf.nest.flatten(called),
        tf.nest.flatten(predicted),
        "predict",
        "outputs",
        _PREDICT_HINT,
        "model(x, training=False)",
    )


def _are_as_wide_as_the_batch(called, predicted) -> bool:
    """Whether outputs compare the samples of a batch with one another, as scores of pairs do."""
    pairs = zip(tf.nest.flatten(called), tf.nest.flatten(predicted), strict=False)
    return any(
        np.ndim(one) > 1
        and len(one) == len(other)
        and np.shape(one)[1] == len(one)
        and np.shape(one) != np.shape(other)
        for one, other in pairs
    )


def _state(model) -> dict[str, np.ndarray]:
    """The values of all variables, but how far random numbers have come."""
    seeds = {id(seed) for seed in _keras.random_states(model)}
    variables = [v for v in _keras.state_variables(model) if id(v) not in seeds]
    return values_by_name(variables)


def _check_evaluate(subject):
    case = subject.case

    def run(recorder):
        before = _state(recorder.model)
        logs = [evaluated(recorder.model, subject.data, case.batch_size) for _ in range(2)]
        return before, _state(recorder.model), logs

    try:
        (before, after, (first, second)), steps = subject.recorded(run)
    except Exception as error:
        if subject.why_not_evaluated and not _has_loss_of_targets(subject):
            subject.tally.left_out["evaluate"] = subject.why_not_evaluated
            return
        hint = _TEST_HINT if subject.overrides("test_step") else _NO_TEST_STEP
        raise failure_of(error, "`evaluate` raised", "evaluate, eager", hint) from error
    _check_inference(steps, "evaluate", _TEST_HINT)
    subject.compare(before, after, "evaluate", "variables", _TEST_HINT, "the model before it")
    if subject.is_random or subject.evaluates_at_random:
        subject.tally.left_out["values of evaluate"] = "it draws random numbers"
        return
    subject.compare(first, second, "second evaluate", "logs", _TEST_HINT, "the first evaluate")
    model = subject.model()
    if _keras.runs_eagerly(model):
        reason = "a layer has `dynamic=True`: Keras 2 runs the model eagerly in every mode"
        subject.tally.left_out["evaluate in the graph"] = reason
        return
    _keras.run_in_mode(model, "graph")
    with equal_circumstances():
        compiled = evaluated(model, subject.data, case.batch_size)
    subject.compare(first, compiled, "evaluate in the graph", "logs", _TEST_HINT, "eager mode")
    _check_loss(subject, first, steps)


def _check_loss(subject, logs, steps):
    """The loss is no zero that nothing has updated, and of all batches the mean of each one's."""
    if "loss" not in logs:
        return
    if logs["loss"] == 0 and _is_stale(subject, steps):
        raise Failure(
            "`evaluate` says that `loss` is 0: its metric is not updated",
            "evaluate, eager",
            _NO_TEST_STEP,
        )
    model, case = subject.model(), subject.case
    _keras.run_in_mode(model, "eager")
    starts = range(0, case.samples, case.batch_size)
    batches = [subject.reference.rows(slice(i, i + case.batch_size)) for i in starts]
    with equal_circumstances():
        single = [evaluated(model, batch, case.batch_size)["loss"] for batch in batches]
    rows = [min(case.batch_size, case.samples - start) for start in starts]
    found, wanted = float(logs["loss"]), float(np.average(single, weights=rows))
    if not np.isclose(found, [wanted, np.mean(single)], rtol=1e-2, atol=1e-5).any():
        raise Failure(
            f"`evaluate` says that `loss` is {found:.7g} where its batches alone have the mean "
            f"{wanted:.7g}",
            "evaluate, eager",
            _TEST_HINT,
            max_abs_error=abs(found - wanted),
        )


def _has_loss_of_targets(subject) -> bool:
    """Whether training logs a loss, of targets that `evaluate` is given too."""
    trained = subject.fitted.history.get("loss", np.zeros(1))
    return subject.case.y is not None and bool(np.any(trained != 0))


def _is_stale(subject, steps) -> bool:
    """Whether a loss of 0 is no result of this evaluation."""
    if any(number != 0 for step in steps for number in step.computed + step.losses):
        return True
    return _has_loss_of_targets(subject) and _is_zero_for_other_weights(subject)


def _is_zero_for_other_weights(subject) -> bool:
    """Whether `evaluate` says 0 whatever the weights are: a hinge loss is 0 for some only."""
    draws = np.random.default_rng(0)
    for scale in (1.0, 10.0, 100.0):
        model = subject.model()
        _keras.run_in_mode(model, "eager")
        for weight in model.trainable_weights:
            weight.assign(draws.normal(scale=scale, size=weight.shape))
        with equal_circumstances():
            logs = evaluated(model, subject.data, subject.case.batch_size)
        if logs["loss"] != 0:
            return False
    return True


def _check_inference(steps, method, hint):
    flags = [call.training for step in steps for call in step.calls]
    if any(flag is True for flag in flags):
        raise Failure(
            f"`{method}` calls the model with training=True",
            f"{method}, eager",
            hint,
        )
