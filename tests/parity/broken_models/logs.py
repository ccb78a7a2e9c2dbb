"""Logs that are not what they say."""

import tensorflow as tf

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


BROKEN = [
    broken("logged_loss", ReturnsTheLoss, "history['loss'] is 0 in epoch 1", generations=(3,)),
    broken("logged_loss", ReturnsTheLastLoss, "where the result of compute_loss"),
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
]
