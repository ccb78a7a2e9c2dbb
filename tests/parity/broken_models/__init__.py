"""Deliberately broken models: each has one fault, which one check alone must catch."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import Broken, found_in
from tfk_patterns import _keras
from tfk_patterns.parity import ModelCase

_DRAWS = np.random.default_rng(0)
X = _DRAWS.normal(size=(16, 4)).astype("float32")
Y = (X[:, :1] - X[:, 1:2] + 0.5).astype("float32")
CLASSES = np.tile([0, 1, 2, 1], 4).astype("int32")


class TwoLayers(keras.Model):
    """A model with a training step written out, right as it stands."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = keras.layers.Dense(5, activation="tanh")
        self.out = keras.layers.Dense(self.outputs_of_a_sample)

    outputs_of_a_sample = 1

    def call(self, inputs, training=None):
        return self.out(self.hidden(inputs))

    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            loss, outputs = self.loss_and_outputs(x, y, sample_weight)
        self.move(tape.gradient(loss, self.trainable_weights))
        return self.logs(loss, x, y, outputs, sample_weight)

    def loss_and_outputs(self, x, y, sample_weight):
        outputs = self(x, training=True)
        return self.compute_loss(x, y, outputs, sample_weight), outputs

    def move(self, gradients):
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))

    def logs(self, loss, x, y, outputs, sample_weight):
        """Keras 2 has logged the loss in `compute_loss`."""
        for metric in self.metrics:
            if metric.name == "loss" and _keras.GENERATION == 3:
                metric.update_state(loss * replica_count(), sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, outputs, sample_weight)


class Tracked(TwoLayers):
    """A model that keeps its loss in a metric of its own, right as it stands."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.tracker]

    def logs(self, loss, x, y, outputs, sample_weight):
        self.tracker.update_state(loss * replica_count())
        return {"loss": self.tracker.result()}

    def test_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        outputs = self(x, training=False)
        loss = self.compute_loss(x, y, outputs, sample_weight)
        return Tracked.logs(self, loss, x, y, outputs, sample_weight)


def replica_count():
    """The number of replicas, by which `compute_loss` divides."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def compiled(model, optimizer="sgd", loss="mse", **arguments):
    """The model, compiled; an optimizer is named, or a function that makes it."""
    optimizer = optimizer if isinstance(optimizer, str) else optimizer()
    model.compile(optimizer, loss, **arguments)
    return model


def broken(check, make, message, y=Y, generations=(2, 3), name=None, **arguments) -> Broken:
    """A broken model: a class, or a function that makes a compiled one."""
    data = {key: arguments.pop(key) for key in ("x", "sample_weight") if key in arguments}
    case_arguments = {"x": X, **data, "y": y, "name": name or make.__name__}
    if isinstance(make, type):
        case = ModelCase(lambda: compiled(make(), **arguments), **case_arguments)
    else:
        case = ModelCase(make, **case_arguments)
    return Broken(check, case, message, generations)


def found_here() -> list[Broken]:
    """All broken models whose fault exists on the Keras generation that is loaded."""
    return found_in(__name__, __path__)
