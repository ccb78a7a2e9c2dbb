"""Methods that a model overrides, and steps that return what they will: as in `fit`."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.training.runs import (
    assert_equals_evaluate_and_predict,
    assert_equals_fit,
    batches,
    compiled,
    sequential,
)
from tfk_patterns import _keras


class OwnLoss(keras.Sequential):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **arguments):
        return tf.reduce_mean(tf.abs(y - y_pred)) + tf.reduce_mean(tf.square(x)) * 0.1


class OwnMetrics(keras.Sequential):
    def compute_metrics(self, x, y, y_pred, sample_weight):
        results = super().compute_metrics(x, y, y_pred, sample_weight)
        return {**results, "largest": tf.reduce_max(y_pred)}


class LossOfTheBatch(keras.Sequential):
    """Returns a loss under the name of a metric that it does not update."""

    def train_step(self, data):
        x, y, _ = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self(x, training=True) - y))
        weights = self.trainable_variables
        gradients = tape.gradient(loss, weights)
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return {"loss": loss}


class FewerLogs(keras.Sequential):
    """Returns some of the metrics, and more."""

    def train_step(self, data):
        logs = super().train_step(data)
        return {"loss": logs["loss"], "rate": tf.constant(0.5)}


slow = pytest.mark.slow
CLASSES = [OwnLoss, OwnMetrics, LossOfTheBatch, FewerLogs]


@pytest.mark.parametrize(
    ("cls", "weighted"),
    [
        *((cls, None) for cls in CLASSES),
        *(pytest.param(cls, ["mse"], marks=slow) for cls in CLASSES if cls is not LossOfTheBatch),
    ],
)
def test_overridden(cls, weighted):
    def make():
        stack = [keras.layers.Dense(3, activity_regularizer="l2"), keras.layers.Dense(2)]
        metrics = ["mae"] if weighted else None
        model = sequential(cls, stack)
        return compiled(model, metrics=metrics, weighted=weighted, jit_compile=False)

    arguments = {"validation_data": batches(rows=21)}
    if cls is LossOfTheBatch and _keras.GENERATION == 2:
        arguments = {}  # with it, `fit` of Keras 2 logs a loss of 0 from the second epoch on
    pair = assert_equals_fit(make, **arguments)
    assert_equals_evaluate_and_predict(*pair)


class Batches(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append({name: float(value) for name, value in logs.items()})


@pytest.mark.parametrize(
    "cls", [pytest.param(cls, marks=() if cls is LossOfTheBatch else slow) for cls in CLASSES]
)
def test_logs_of_each_batch(cls):
    """As callbacks of `fit` see them."""
    recorders = Batches(), Batches()
    pair = assert_equals_fit(
        lambda: compiled(sequential(cls, [keras.layers.Dense(2)]), metrics=None, weighted=None)
    )
    for method, recorder in zip((pair[0].fit, pair[1].fit), recorders, strict=True):
        method(batches(), callbacks=[recorder], verbose=0)
    assert recorders[0].seen == recorders[1].seen


class Masked(keras.layers.Layer):
    """Passes on a mask for rows whose first number is negative."""

    def __init__(self):
        super().__init__()
        self.supports_masking = True

    def call(self, inputs):
        return inputs

    def compute_mask(self, inputs, mask=None):
        return inputs[:, :, 0] > 0


@pytest.mark.parametrize("weighted", [True, pytest.param(False, marks=slow)])
def test_masks_of_the_outputs(weighted):
    """Leave steps of time out of the loss and of metrics."""
    draws = np.random.default_rng(0)
    x, y = (draws.normal(size=(20, 5, n)).astype("float32") for n in (3, 1))
    weight = draws.uniform(size=(20, 5)).astype("float32")

    def make():
        inputs = keras.Input((5, 3))
        outputs = keras.layers.Dense(1)(Masked()(inputs))
        return compiled(keras.Model(inputs, outputs))

    def data(rows=20):
        return batches(*((x, y, weight) if weighted else (x, y)), rows=rows)

    pair = assert_equals_fit(make, data, validation_data=data())
    assert_equals_evaluate_and_predict(*pair, data)
