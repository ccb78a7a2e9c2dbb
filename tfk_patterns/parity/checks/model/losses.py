"""What the loss that a training step minimises is made of."""

from unittest import mock

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import in_one_line
from tfk_patterns.parity.model_fitting import take_a_step
from tfk_patterns.parity.model_subject import trainable_values
from tfk_patterns.parity.outcome import Failure, Skip

_EXTRA_HINT = (
    "`self.compute_loss(x, y, y_pred, sample_weight)` adds the losses of layers and regularisers; "
    "a loss of your own needs `+ sum(self.losses)`."
)
_WEIGHT_HINT = (
    "Unpack `x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)`, and hand "
    "`sample_weight` to `self.compute_loss(...)` or to the loss object."
)
_CLASS_HINT = (
    "Keras hands class weights to `train_step` as sample weights: pass `class_weight` on to "
    "`super().fit(...)`, and use `sample_weight` in `train_step`."
)


@define_check(
    follows=("fit",),
    link="https://www.tensorflow.org/guide/keras/making_new_layers_and_models_via_subclassing"
    "#the_add_loss_method",
)
def extra_losses(subject):
    """The losses that layers add and regularisers give are part of what is minimised."""
    added = next((step.added for step in subject.steps if step.added is not None), None)
    if not added:
        raise Skip("no layer adds a loss")
    plain, larger = (_one_step(subject, scale=scale) for scale in (1.0, 100.0))
    if _equal(plain, larger):
        raise Failure(
            f"`model.losses`, {added:.7g} in the first step, are not part of the loss: a hundred "
            "times as much gives the same step",
            "one step, eager",
            _EXTRA_HINT,
        )
    subject.compare(plain, plain, "one step", "weights")


@define_check(follows=("fit",), link="https://keras.io/guides/custom_train_step_in_tensorflow/")
def sample_weight(subject):
    """The targets of a sample with weight 0 have no part in a training step."""
    batch = _batch_with_targets(subject)
    half = subject.case.batch_size // 2
    weights = np.ones(len(tf.nest.flatten(batch["x"])[0]), "float32")
    weights[half:] = 0.0
    other = tf.nest.map_structure(lambda y: _changed_from(y, half), batch["y"])
    if _same_arrays(other, batch["y"]):
        raise Skip("the targets of the samples are all the same")
    if _equal(_one_step(subject), _one_step(subject, y=other)):
        raise Skip("the targets have no part in the training step")
    try:
        plain = _one_step(subject, sample_weight=weights)
    except Exception as error:
        if subject.case.sample_weight is None:
            raise Skip(f"the model takes no sample weights: {in_one_line(error, 120)}") from error
        raise
    changed = _one_step(subject, y=other, sample_weight=weights)
    if not _close(subject, plain, changed):
        raise Failure(
            f"targets of samples {half} to {len(weights) - 1} change a training step, though their "
            "sample weight is 0",
            "one step, eager",
            _WEIGHT_HINT,
        )
    subject.compare(plain, changed, "one step", "weights")


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
    if not _close(subject, expected, found):
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
    if subject.random_ops.from_global:
        raise Skip("two steps draw differently from TensorFlow's global random state")
    return {**subject.reference.batch, "sample_weight": None}


def _one_step(subject, scale=1.0, **changes):
    """The trainable weights after one step, and what was differentiated in it."""
    batch = {**subject.reference.batch, **changes}
    losses = keras.layers.Layer.losses
    scaled = property(lambda layer: [scale * loss for loss in losses.fget(layer)])

    def run(recorder):
        with mock.patch.object(keras.layers.Layer, "losses", scaled):
            take_a_step(recorder.model, batch)
        return trainable_values(recorder.model)

    values, steps = subject.recorded(run)
    return [*values, np.array(steps[0].targets if steps else [])]


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


def _equal(one, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _close(subject, one, other) -> bool:
    return len(one) == len(other) and all(
        subject.difference(a, b).description is None for a, b in zip(one, other, strict=True)
    )
