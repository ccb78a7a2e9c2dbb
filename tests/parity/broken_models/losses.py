"""Losses that a step forgets, and weights that it ignores."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken_models import CLASSES, Tracked, TwoLayers, broken, compiled, replica_count


class MeanSquare(Tracked):
    """Has a loss of its own in the place of `compute_loss`, right with `+ self.added()`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = keras.layers.Dense(5, activation="tanh", kernel_regularizer="l2")

    def loss_and_outputs(self, x, y, sample_weight, training=True):
        outputs = self(x, training=training)
        errors = tf.reduce_mean(tf.square(y - outputs), axis=-1)
        return self.mean(errors, sample_weight) + self.added(), outputs

    def mean(self, errors, sample_weight):
        if sample_weight is not None:
            errors *= tf.reshape(sample_weight, [-1])
        return tf.reduce_mean(errors) / replica_count()

    def added(self):
        return sum(self.losses) / replica_count()

    def test_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        loss, outputs = self.loss_and_outputs(x, y, sample_weight, training=False)
        return self.logs(loss, x, y, outputs, sample_weight)


class ForgetsTheRegularizer(MeanSquare):
    def added(self):
        return 0.0


class CountsPenaltiesOnlyInLogs(MeanSquare):
    """Adds the penalty to what is logged, and not to what is minimised."""

    def added(self):
        return 0.0

    def logs(self, loss, x, y, outputs, sample_weight):
        return super().logs(loss + sum(self.losses) / replica_count(), x, y, outputs, sample_weight)


class CountsPenaltiesTwice(MeanSquare):
    """Adds what `compute_loss` has added."""

    def loss_and_outputs(self, x, y, sample_weight, training=True):
        outputs = self(x, training=training)
        return self.compute_loss(x, y, outputs, sample_weight) + self.added(), outputs


class IgnoresSampleWeights(MeanSquare):
    def mean(self, errors, sample_weight):
        return super().mean(errors, None)


class Dropped(MeanSquare):
    """Right: draws at random in training, what has nothing to do with weights."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dropout = keras.layers.Dropout(0.3, seed=1)

    def call(self, inputs, training=None):
        return self.out(self.dropout(self.hidden(inputs), training=training))


class WeighsEachByAll(Dropped):
    """Multiplies errors of shape (batch, 1) by weights of shape (batch,)."""

    def mean(self, errors, sample_weight):
        if sample_weight is None:
            return super().mean(errors, None)
        return tf.reduce_mean(errors[:, tf.newaxis] * sample_weight) / replica_count()


class ReversesSampleWeights(Dropped):
    def mean(self, errors, sample_weight):
        return super().mean(errors, None if sample_weight is None else sample_weight[::-1])


class WeighsOnlyMetrics(TwoLayers):
    def loss_and_outputs(self, x, y, sample_weight):
        return super().loss_and_outputs(x, y, None)


class Classifier(TwoLayers):
    outputs_of_a_sample = 3


class SwallowsClassWeights(Classifier):
    """Passes on what its own `fit` names, and drops the rest."""

    def fit(self, x, y=None, class_weight=None, **kwargs):
        return super().fit(x, y, **kwargs)


class InvertsClassWeights(Classifier):
    """Takes class weights for class frequencies."""

    def fit(self, x, y=None, class_weight=None, **kwargs):
        if class_weight:
            class_weight = {label: 1 / weight for label, weight in class_weight.items()}
        return super().fit(x, y, class_weight=class_weight, **kwargs)


def _classes(model):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return lambda: compiled(model(), loss=loss)


BROKEN = [
    broken("extra_losses", ForgetsTheRegularizer, "`model.losses`"),
    broken("extra_losses", CountsPenaltiesOnlyInLogs, "`model.losses`"),
    broken("extra_losses", CountsPenaltiesTwice, "are counted 2 times"),
    broken("sample_weight", IgnoresSampleWeights, "though their sample weight is 0"),
    broken("sample_weight", WeighsEachByAll, "though their sample weight is 0"),
    broken("sample_weight", ReversesSampleWeights, "though their sample weight is 0"),
    broken("sample_weight", WeighsOnlyMetrics, "though their sample weight is 0"),
    broken(
        "class_weight",
        _classes(SwallowsClassWeights),
        "class weights",
        CLASSES,
        name="SwallowsClassWeights",
    ),
    broken(
        "class_weight",
        _classes(InvertsClassWeights),
        "class weights",
        CLASSES,
        name="InvertsClassWeights",
    ),
]
