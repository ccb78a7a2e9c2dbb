"""Weights of samples."""

import numpy as np
import tensorflow as tf

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import in_one_line
from tfk_patterns.parity.model_fitting import evaluated
from tfk_patterns.parity.model_steps import (
    batch_with_targets,
    changed_from,
    close,
    equal,
    one_step,
    scale_of_loss,
    why_mixed,
)
from tfk_patterns.parity.outcome import Failure, Skip

_WEIGHT_HINT = (
    "Unpack `x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)`, and hand "
    "`sample_weight` to `self.compute_loss(...)` or to the loss object; the `forward_pass` of "
    "`tfk_patterns.models.TrainStepModel` does so."
)


@define_check(
    follows=("fit",), link="https://keras.io/guides/custom_train_step_in_tensorflow/", fast=True
)
def sample_weight(subject):
    """The targets of a sample with weight 0 have no part in a training step.

    Larger weights count more, in `evaluate` too, and a weight enters the loss once.

    Bug: A `train_step` that drops the third part of its data ignores the weights given to
    `fit`, and class weights with them: training runs as if there were none
    (https://github.com/Jannoshh/simple-sam/issues/6).

    Broken::

        class Denoising(keras.Sequential):
            def train_step(self, data):
                x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
                noisy = x + tf.random.normal(tf.shape(x), stddev=0.1)
                return super().train_step((noisy, y))


        def make():
            model = Denoising([keras.Input((4,)), keras.layers.Dense(1)])
            model.compile("sgd", "mse")
            return model


        case = ModelCase(make, x, y)

    Mended::

        class Denoising(keras.Sequential):
            def train_step(self, data):
                x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
                noisy = x + tf.random.normal(tf.shape(x), stddev=0.1)
                return super().train_step((noisy, y, sample_weight))


        def make():
            model = Denoising([keras.Input((4,)), keras.layers.Dense(1)])
            model.compile("sgd", "mse")
            return model


        case = ModelCase(make, x, y)
    """
    batch = batch_with_targets(subject)
    subject.fitted  # noqa: B018 - what fails without weights is not this check's matter
    half = subject.case.batch_size // 2
    if not half:
        raise Skip("a step has one sample")
    weights = np.ones(len(tf.nest.flatten(batch["x"])[0]), "float32")
    weights[half:] = 0.0
    other = tf.nest.map_structure(lambda y: changed_from(y, half), batch["y"])
    if _same_arrays(other, batch["y"]):
        raise Skip("the targets of the samples are all the same")
    if equal(one_step(subject), one_step(subject, y=other)):
        raise Skip("the targets have no part in the training step")
    try:
        plain = one_step(subject, sample_weight=weights)
    except Exception as error:
        if subject.case.sample_weight is None:
            raise Skip(f"the model takes no sample weights: {in_one_line(error, 120)}") from error
        raise
    changed = one_step(subject, y=other, sample_weight=weights)
    *plain, _ = plain  # a step may also differentiate by its inputs what it does not weigh
    *changed, _ = changed
    mixed = ""
    if close(subject, plain, changed):
        subject.compare(plain, changed, "one step", "weights")
    else:
        mixed = why_mixed(subject)
        if not mixed or not _has_no_part(subject, other, 0 * weights):
            raise Failure(
                f"targets of samples {half} to {len(weights) - 1} change a training step, though "
                "their sample weight is 0",
                "one step, eager",
                _WEIGHT_HINT,
            )
    _check_they_weigh(subject, len(weights))
    if mixed:
        raise Skip(mixed)


def _has_no_part(subject, targets, weights) -> bool:
    """Whether a step does not depend on the targets for these weights."""
    steps = (one_step(subject, sample_weight=weights, **y) for y in ({}, {"y": targets}))
    return close(subject, *(values for *values, _ in steps))


def _check_they_weigh(subject, samples):
    """Weights of 1 and 3 are not weights of 1, and those of 2 count at most twice as much."""
    ones = np.ones(samples, "float32")
    uneven = np.where(np.arange(samples) % 2, 3.0, 1.0).astype("float32")
    once, other, turned = (
        one_step(subject, sample_weight=weights) for weights in (ones, uneven, 4 * ones - uneven)
    )
    # The loss of every second sample may be 0, as that of a hinge is.
    if close(subject, once, other) and close(subject, once, turned):
        if len(once[-1]) and not np.any(once[-1]):
            raise Skip("the loss of the batch is 0, with any weights")
        raise Failure(
            "sample weights of 1 and 3 give the same step as weights of 1",
            "one step, eager",
            _WEIGHT_HINT,
        )
    twice = one_step(subject, sample_weight=2 * ones)
    added = subject.steps[0].added or 0.0
    if len(once[-1]) == len(twice[-1]) == 1:
        added = added * scale_of_loss(subject)
        times = (twice[-1][0] - added) / (once[-1][0] - added)
        if np.isclose(times, 4.0, rtol=0.05):
            raise Failure(
                "sample weights of 2 make the loss four times as large: they enter it twice",
                "one step, eager",
                _WEIGHT_HINT,
            )
    subject.tally.compared += 1
    _check_evaluation(subject, ones, uneven)


def _check_evaluation(subject, ones, uneven):
    if subject.why_not_evaluated or subject.is_random:
        return
    batch = subject.reference.batch

    def run(recorder):
        weights = (ones, uneven, 4 * ones - uneven)
        arguments = ({**batch, "sample_weight": w} for w in weights)
        return [evaluated(recorder.model, data, subject.case.batch_size) for data in arguments]

    (even, *others), _ = subject.recorded(run)
    if even.get("loss", 0) == 0:  # `evaluate_predict` says so
        return
    if all(np.array_equal(even["loss"], other["loss"]) for other in others):
        raise Failure(
            "sample weights of 1 and 3 give the same loss in `evaluate` as weights of 1",
            "evaluate, eager",
            _WEIGHT_HINT.replace("`train_step`", "`test_step`"),
        )


def _same_arrays(one, other) -> bool:
    return all(map(np.array_equal, tf.nest.flatten(one), tf.nest.flatten(other)))
