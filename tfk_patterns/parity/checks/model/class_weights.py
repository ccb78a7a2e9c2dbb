"""Weights of classes."""

import numpy as np
import tensorflow as tf

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import in_one_line
from tfk_patterns.parity.model_fitting import take_a_step
from tfk_patterns.parity.model_steps import batch_with_targets, close
from tfk_patterns.parity.model_subject import trainable_values
from tfk_patterns.parity.outcome import Failure, Skip

_HINT = (
    "Keras hands class weights to `train_step` as sample weights: pass `class_weight` on to "
    "`super().fit(...)`, and use `sample_weight` in `train_step`."
)


@define_check(
    follows=("fit", "sample_weight"),
    link="https://www.tensorflow.org/tutorials/structured_data/imbalanced_data",
)
def class_weight(subject):
    """`fit(class_weight=...)` trains as `fit(sample_weight=...)` with the weight of each class.

    Bug: An argument on its way to Keras' own `fit` is lost, and the rare class is learned as
    badly as without weights; nothing says so. Keras itself once ignored class weights where the
    data was a `tf.data.Dataset` (https://github.com/tensorflow/tensorflow/issues/33550).

    Broken::

        labels = (y > 0).astype("int32")


        class Patient(keras.Sequential):
            def fit(
                self, x, y=None, sample_weight=None, class_weight=None, callbacks=None, **kwargs
            ):
                stop = keras.callbacks.EarlyStopping("loss", patience=3)
                callbacks = [*(callbacks or []), stop]
                return super().fit(x, y, sample_weight=sample_weight, callbacks=callbacks, **kwargs)


        def make():
            model = Patient([keras.Input((4,)), keras.layers.Dense(1, "sigmoid")])
            model.compile("sgd", "binary_crossentropy")
            return model


        case = ModelCase(make, x, labels)

    Mended::

        labels = (y > 0).astype("int32")


        class Patient(keras.Sequential):
            def fit(self, *args, callbacks=None, **kwargs):
                stop = keras.callbacks.EarlyStopping("loss", patience=3)
                return super().fit(*args, callbacks=[*(callbacks or []), stop], **kwargs)


        def make():
            model = Patient([keras.Input((4,)), keras.layers.Dense(1, "sigmoid")])
            model.compile("sgd", "binary_crossentropy")
            return model


        case = ModelCase(make, x, labels)
    """
    batch = batch_with_targets(subject)
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
            _HINT,
        )
    subject.compare(expected, found, "fit", "weights", source="sample_weight")


def _one_fit(subject, **weights):
    def run(recorder):
        take_a_step(recorder.model, {**subject.reference.batch, "sample_weight": None}, **weights)
        return trainable_values(recorder.model)

    return subject.recorded(run)[0]


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
