"""Right layers that the checks of losses and metrics must not blame, and their helpers."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import INPUTS, MASK
from tfk_patterns.parity import LayerCase, check_layer
from tfk_patterns.parity.calls.added_losses import recording_added_losses

CHECKS = ["loss_scale", "loss_lifetime", "metric_names", "metric_history"]


class UnbiasedVariance(keras.layers.Layer):
    """Divides by the number of samples less one."""

    def call(self, inputs):
        samples = tf.cast(tf.shape(inputs)[0], tf.float32)
        deviations = tf.reduce_sum(tf.square(inputs - tf.reduce_mean(inputs, axis=0)), axis=0)
        self.add_loss(tf.reduce_mean(deviations) / (samples - 1.0))
        return inputs


class Contrast(keras.layers.Layer):
    """Tells each sample from all others in the batch, which is harder in a larger one."""

    def call(self, inputs):
        codes = tf.math.l2_normalize(tf.reduce_mean(inputs, axis=1), axis=-1)
        logits = tf.matmul(codes, codes, transpose_b=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.range(tf.shape(codes)[0]), logits
        )
        self.add_loss(tf.reduce_mean(losses))
        return inputs


class ContrastOfPairs(keras.layers.Layer):
    """The same of two views, at a temperature, and so a loss of about one."""

    def call(self, inputs):
        one, other = (tf.math.l2_normalize(inputs[:, step], -1) for step in (0, 1))
        logits = tf.matmul(one, other, transpose_b=True) / 0.5
        places = tf.range(tf.shape(inputs)[0])
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(places, logits)
        self.add_loss(tf.reduce_mean(losses))
        return inputs


class WarmUp(keras.layers.Layer):
    """Has a weight of zero at first, kept in a variable."""

    def build(self, input_shape):
        self.steps = self.add_weight(name="steps", initializer="zeros", trainable=False)
        self.built = True

    def call(self, inputs, training=None):
        beta = 0.1 * tf.convert_to_tensor(self.steps)
        self.add_loss(beta * tf.reduce_mean(tf.square(inputs)))
        if training and self.trainable:
            self.steps.assign_add(1.0)
        return inputs


class WarmUpBySamples(keras.layers.Layer):
    """Its weight depends on how many samples it has seen."""

    def build(self, input_shape):
        self.samples = self.add_weight(name="samples", initializer="zeros", trainable=False)
        self.built = True

    def call(self, inputs, training=None):
        beta = 0.001 * tf.convert_to_tensor(self.samples)
        self.add_loss(beta * tf.reduce_mean(tf.square(inputs)))
        if training and self.trainable:
            self.samples.assign_add(tf.cast(tf.shape(inputs)[0], self.samples.dtype))
        return inputs


class CallsOnePenaltyTwice(keras.layers.Layer):
    """The layer in it adds equal losses in two calls, and this one another."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.penalty = keras.layers.ActivityRegularization(l2=0.1)

    def build(self, input_shape):
        self.penalty.build(input_shape)
        self.built = True

    def call(self, inputs):
        outputs = self.penalty(self.penalty(inputs))
        self.add_loss(tf.reduce_mean(tf.abs(inputs)))
        return outputs


class RandomPenaltyInTraining(keras.layers.Layer):
    """Penalises what dropout leaves."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dropout = keras.layers.Dropout(0.5)

    def build(self, input_shape):
        self.dropout.build(input_shape)
        self.built = True

    def call(self, inputs, training=None):
        if training:
            self.add_loss(tf.reduce_mean(self.dropout(inputs, training=training)))
        return inputs


class NormInTraining(keras.layers.Layer):
    """Has a metric, in training only, and one that weighs samples."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.norm = keras.metrics.Mean(name=f"{self.name}_norm")
        self.parts = [keras.metrics.Mean(name=f"{self.name}_{part}") for part in range(2)]

    def call(self, inputs, training=None, mask=None):
        if training:
            self.norm.update_state(tf.norm(inputs))
        weights = None if mask is None else tf.cast(mask, tf.float32)
        for number, part in enumerate(self.parts):
            part.update_state(inputs[..., number], sample_weight=weights)
        return inputs


class Quantile(keras.metrics.Metric):
    """Cannot be made from its config."""

    def __init__(self, quantile, name):
        super().__init__(name=name)
        self.total = self.add_weight(name="total", initializer="zeros")
        self.quantile = quantile

    def update_state(self, values, sample_weight=None):
        self.total.assign(self.quantile * tf.reduce_max(values))

    def result(self):
        return tf.convert_to_tensor(self.total)


class WithQuantile(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.quantile = Quantile(0.5, f"{self.name}_quantile")

    def call(self, inputs):
        self.quantile.update_state(inputs)
        return inputs


class HoldsLayersWithMetrics(keras.layers.Layer):
    """The layers in it have names of Keras' making, and their metrics with them."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norms = [NormInTraining(), NormInTraining()]

    def build(self, input_shape):
        for layer in self.norms:
            layer.build(input_shape)
        self.built = True

    def call(self, inputs, training=None):
        for layer in self.norms:
            inputs = layer(inputs, training=training)
        return inputs


CASES = [
    LayerCase(UnbiasedVariance, INPUTS),
    LayerCase(UnbiasedVariance, INPUTS[:2], name="UnbiasedVarianceOfTwo"),
    LayerCase(Contrast, INPUTS),
    LayerCase(ContrastOfPairs, INPUTS),
    LayerCase(WarmUp, INPUTS),
    LayerCase(WarmUpBySamples, INPUTS),
    LayerCase(CallsOnePenaltyTwice, INPUTS),
    LayerCase(RandomPenaltyInTraining, INPUTS),
    LayerCase(NormInTraining, INPUTS, MASK),
    LayerCase(lambda: NormInTraining(name="norms"), INPUTS, name="named"),
    LayerCase(HoldsLayersWithMetrics, INPUTS),
    LayerCase(WithQuantile, INPUTS),
    LayerCase(
        lambda: keras.layers.Dense(2, kernel_regularizer="l2", activity_regularizer="l1"),
        INPUTS,
        name="regularised",
    ),
    LayerCase(
        lambda: keras.layers.LSTM(2, stateful=True, activity_regularizer="l2"),
        INPUTS,
        name="batch_size_fixed",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_not_blamed(case):
    report = check_layer(case, checks=CHECKS, on_fail="report")
    assert report.passed, str(report)
    assert any(result.verdict == "passed" for result in report.results) or case.name in (
        "batch_size_fixed",
        "WithQuantile",
    )


def test_a_metric_that_cannot_be_rebuilt_is_said():
    report = check_layer(LayerCase(WithQuantile, INPUTS), checks=["metric_history"])
    (result,) = report.results
    assert result.verdict == "skipped"


def test_losses_of_hidden_layers_are_recorded():
    hidden = keras.layers.ActivityRegularization(l2=1.0)
    with recording_added_losses() as added:
        hidden(tf.ones((2, 3)))
    assert [owner for owner, _ in added] == [hidden]
    np.testing.assert_allclose([float(loss) for _, loss in added], 3.0)
    assert keras.layers.Layer.add_loss.__name__ == "add_loss"
    hidden(tf.ones((2, 3)))
    assert len(added) == 1
