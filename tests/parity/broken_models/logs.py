"""Logs that are not what they say."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.parity.broken_models import Tracked, TwoLayers, broken


class ReturnsTheLoss(TwoLayers):
    """Returns the loss of the step, under the names of the model's metrics: Keras 3 logs 0."""

    def logs(self, loss, x, y, outputs, sample_weight):
        return {"loss": loss}


class ReturnsTheLastLoss(TwoLayers):
    """Returns the loss of the step beside another number, so that the last one stands."""

    def logs(self, loss, x, y, outputs, sample_weight):
        return {"loss": loss, "largest": tf.reduce_max(outputs)}


class LogsTheRoot(Tracked):
    """Logs the root of the loss as `loss`."""

    def logs(self, loss, x, y, outputs, sample_weight):
        return super().logs(tf.sqrt(loss), x, y, outputs, sample_weight)


class ForgetsTheMetrics(Tracked):
    """Returns the loss's mean alone, whatever `compile` was given."""


class SwapsTheArguments(TwoLayers):
    """Gives the metrics outputs for targets and targets for outputs."""

    def logs(self, loss, x, y, outputs, sample_weight):
        return super().logs(loss, x, outputs, y, sample_weight)


class Tagger(TwoLayers):
    """Right: one output for each step of a sequence, those that pad it masked."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = keras.layers.Embedding(9, 5, mask_zero=True)


class MetricsForgetTheMask(Tagger):
    """Hands the metrics a copy of the outputs, to which no mask is attached."""

    def logs(self, loss, x, y, outputs, sample_weight):
        return super().logs(loss, x, y, tf.identity(outputs), sample_weight)


TOKENS = np.tri(16, 5, 2, dtype="int32") * np.arange(3, 8, dtype="int32")
TAGS = np.sin(TOKENS[..., np.newaxis] + np.arange(16).reshape(16, 1, 1)).astype("float32")


BROKEN = [
    broken("logged_loss", ReturnsTheLoss, "history['loss'] is 0 in epoch 1", generations=(3,)),
    broken("logged_loss", ReturnsTheLastLoss, "where the result of compute_loss"),
    broken(
        "logged_loss",
        ReturnsTheLastLoss,
        "where the result of compute_loss",
        name="ReturnsTheLastLossOfMergedSteps",
        steps_per_execution=2,
    ),
    broken("logged_loss", LogsTheRoot, "where the result of compute_loss"),
    broken(
        "compiled_metrics",
        ForgetsTheMetrics,
        "is not in the history",
        metrics=["mae"],
    ),
    broken(
        "compiled_metrics", SwapsTheArguments, "where the outputs of its steps", metrics=["mape"]
    ),
    broken(
        "compiled_metrics",
        MetricsForgetTheMask,
        "where the outputs of its steps",
        TAGS,
        x=TOKENS,
        metrics=["mae"],
    ),
]
