"""Weights of samples and of classes."""

import numpy as np
import tensorflow as tf

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import in_one_line
from tfk_patterns.parity.model_fitting import take_a_step
from tfk_patterns.parity.model_steps import close, equal, one_step, scale_of_loss
from tfk_patterns.parity.model_subject import evaluated, trainable_values
from tfk_patterns.parity.outcome import Failure, Skip

_WEIGHT_HINT = (
    "Unpack `x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)`, and hand "
    "`sample_weight` to `self.compute_loss(...)` or to the loss object."
)
_CLASS_HINT = (
    "Keras hands class weights to `train_step` as sample weights: pass `class_weight` on to "
    "`super().fit(...)`, and use `sample_weight` in `train_step`."
)


@define_check(
    follows=("fit",), link="https://keras.io/guides/custom_train_step_in_tensorflow/", fast=True
)
def sample_weight(subject):
    """The targets of a sample with weight 0 have no part in a training step."""
    batch = _batch_with_targets(subject)
    half = subject.case.batch_size // 2
    if not half:
        raise Skip("a step has one sample")
    weights = np.ones(len(tf.nest.flatten(batch["x"])[0]), "float32")
    weights[half:] = 0.0
    other = tf.nest.map_structure(lambda y: _changed_from(y, half), batch["y"])
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
    if close(subject, plain, changed):
        subject.compare(plain, changed, "one step", "weights")
    elif subject.random_ops and _has_no_part(subject, other, 0 * weights):
        reason = "the step mixes samples at random, and their weights, as Mixup does"
        subject.tally.left_out["targets of samples with weight 0"] = reason
    else:
        raise Failure(
            f"targets of samples {half} to {len(weights) - 1} change a training step, though their "
            "sample weight is 0",
            "one step, eager",
            _WEIGHT_HINT,
        )
    _check_they_weigh(subject, len(weights))


def _has_no_part(subject, targets, weights) -> bool:
    """Whether a step does not depend on the targets for these weights."""
    steps = (one_step(subject, sample_weight=weights, **y) for y in ({}, {"y": targets}))
    return close(subject, *(values for *values, _ in steps))


def _check_they_weigh(subject, samples):
    """Weights of 1 and 3 are not weights of 1, and those of 2 count at most twice as much."""
    ones = np.ones(samples, "float32")
    uneven = np.where(np.arange(samples) % 2, 3.0, 1.0).astype("float32")
    once, other = (one_step(subject, sample_weight=weights) for weights in (ones, uneven))
    if close(subject, once, other):
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
        arguments = ({**batch, "sample_weight": weights} for weights in (ones, uneven))
        return [evaluated(recorder.model, data, subject.case.batch_size) for data in arguments]

    (even, other), _ = subject.recorded(run)
    if even.get("loss", 0) == 0:  # `evaluate_predict` says so
        return
    if np.array_equal(even["loss"], other["loss"]):
        raise Failure(
            "sample weights of 1 and 3 give the same loss in `evaluate` as weights of 1",
            "evaluate, eager",
            _WEIGHT_HINT.replace("`train_step`", "`test_step`"),
        )


@define_check(
    follows=("fit", "sample_weight"),
    link="https://www.tensorflow.org/tutorials/structured_data/imbalanced_data",
)
def class_weight(subject):
    """`fit(class_weight=...)` trains as `fit(sample_weight=...)` with the weight of each class."""
    batch = _batch_with_targets(subject)
    classes = _classes(batch["y"])
    if classes is None or len(set(classes)) < 2:
        raise Skip("the targets are no integer or one-hot classes")
    weights = {int(label): 1.0 + label for label in range(int(max(classes)) + 1)}
    per_sample = np.array([weights[label] for label in classes], "float32")
    try:
        expected = _one_fit(subject, sample_weight=per_sample)
        found = _one_fit(subject, class_weight=weights)
    except Exception as error:
        if subject.case.sample_weight is None:
            raise Skip(f"the model takes no sample weights: {in_one_line(error, 120)}") from error
        raise
    if not close(subject, expected, found):
        raise Failure(
            f"class weights {weights} give another step than the sample weights that they stand "
            "for",
            "fit, eager",
            _CLASS_HINT,
        )
    subject.compare(expected, found, "fit", "weights", source="sample_weight")


def _batch_with_targets(subject):
    if subject.case.y is None:
        raise Skip("the case has no targets")
    return {**subject.reference.batch, "sample_weight": None}


def _one_fit(subject, **weights):
    def run(recorder):
        take_a_step(recorder.model, {**subject.reference.batch, "sample_weight": None}, **weights)
        return trainable_values(recorder.model)

    return subject.recorded(run)[0]


def _changed_from(targets, first):
    """Other targets of the same kind from a sample on: those of other samples, or moved ones."""
    targets = np.array(targets)
    rest = np.roll(targets[first:], 1, axis=0)
    if np.array_equal(rest, targets[first:]) and targets.dtype.kind == "f":
        rest = rest + 1
    elif np.array_equal(rest, targets[first:]):
        rest = np.broadcast_to(targets[:1], rest.shape)
    return np.concatenate([targets[:first], rest])


def _same_arrays(one, other) -> bool:
    return all(map(np.array_equal, tf.nest.flatten(one), tf.nest.flatten(other)))


def _classes(targets):
    """The class of each sample, or `None` where the targets are something else."""
    if len(tf.nest.flatten(targets)) > 1:
        return None
    targets = np.asarray(tf.nest.flatten(targets)[0])
    if targets.ndim == 2 and targets.shape[1] > 1:
        is_one_hot = np.array_equal(np.sort(targets, axis=1)[:, :-1], 0 * targets[:, 1:])
        return targets.argmax(axis=1) if is_one_hot and (targets.max(axis=1) == 1).all() else None
    flat = targets.reshape(len(targets), -1)
    if flat.shape[1] != 1 or not np.array_equal(flat, np.round(flat)) or flat.min() < 0:
        return None
    return flat[:, 0].astype(int) if flat.max() < 100 else None
