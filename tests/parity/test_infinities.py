"""Infinity and NaN that a layer gives for the case's own values, and what other checks make of it.

With warnings as errors: no arithmetic with them may print one.
"""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfk_patterns.parity import LayerCase, check_layer

STEPS = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
IMPOSSIBLE = tf.constant(-np.inf)

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


class CausalLogits(keras.layers.Layer):
    """What is impossible has a logit of minus infinity."""

    def call(self, inputs):
        logits = tf.matmul(inputs, inputs, transpose_b=True)
        possible = tf.linalg.band_part(tf.ones_like(logits), -1, 0) > 0
        return tf.where(possible, logits, tf.cast(IMPOSSIBLE, logits.dtype))


class SmallestSoFar(keras.layers.Layer):
    """Starts at infinity, and has seen nothing in inference."""

    def build(self, input_shape):
        infinity = keras.initializers.Constant(np.inf)
        self.smallest = self.add_weight(
            name="smallest", shape=(3,), initializer=infinity, trainable=False
        )
        self.built = True

    def call(self, inputs, training=None):
        smallest = tf.cast(tf.convert_to_tensor(self.smallest), inputs.dtype)
        if training and self.trainable:
            smallest = tf.minimum(smallest, tf.stop_gradient(tf.reduce_min(inputs, axis=[0, 1])))
            self.smallest.assign(tf.cast(smallest, self.smallest.dtype))
        return inputs, tf.zeros_like(inputs) + smallest


class LargeTable(keras.layers.Layer):
    """Adds a table of more numbers than TensorFlow writes into a graph as a constant."""

    def build(self, input_shape):
        self.table = np.triu(np.full((12, 12), -np.inf, "float32"), 1)
        self.built = True

    def call(self, inputs):
        rows = tf.tile(inputs, [1, 3, 1])[:, :12]
        return tf.matmul(rows, rows, transpose_b=True) + tf.cast(self.table, inputs.dtype)


class LogarithmOfMask(keras.layers.Layer):
    def call(self, inputs):
        logits = tf.matmul(inputs, inputs, transpose_b=True)
        return logits + tf.math.log(tf.linalg.band_part(tf.ones_like(logits), -1, 0))


class TopTwo(keras.layers.Layer):
    """Where infinity is depends on the inputs."""

    def call(self, inputs):
        lowest = tf.sort(inputs, axis=-1, direction="DESCENDING")[..., 1:2]
        return tf.where(inputs >= lowest, inputs, tf.cast(IMPOSSIBLE, inputs.dtype))


MEANT = [CausalLogits, SmallestSoFar, LargeTable, LogarithmOfMask, TopTwo]


@pytest.mark.parametrize("layer", MEANT, ids=lambda layer: layer.__name__)
def test_infinities_by_intent_are_not_blamed(layer):
    (result,) = check_layer(LayerCase(layer, STEPS), checks=["finite_values"]).results
    assert result.verdict == "passed"
    assert "infinities" in result.reason


class MaskedSoftmaxAndLogarithm(keras.layers.Layer):
    """An infinity that is meant, and ends in a softmax, beside one that is not."""

    def call(self, inputs):
        scores = tf.matmul(inputs, inputs, transpose_b=True)
        possible = tf.linalg.band_part(tf.ones_like(scores), -1, 0) > 0
        weights = tf.nn.softmax(tf.where(possible, scores, tf.cast(IMPOSSIBLE, scores.dtype)))
        return tf.matmul(weights, inputs), tf.math.log(inputs)


def test_one_infinity_excuses_no_other():
    inputs = np.abs(STEPS)
    inputs[1, 2, 1] = 0.0
    case = LayerCase(MaskedSoftmaxAndLogarithm, inputs)
    report = check_layer(case, checks=["finite_values"], on_fail="report")
    assert "outputs[1] is -inf at [1, 2, 1]" in report.failures[0].message


class Shares(keras.layers.Layer):
    """Zeros make no shares: NaN."""

    def call(self, inputs):
        return inputs / tf.reduce_sum(inputs, axis=-1, keepdims=True)


class Logarithm(keras.layers.Layer):
    def call(self, inputs):
        self.add_loss(tf.reduce_mean(tf.math.log(inputs)))
        return -tf.math.log(inputs) * [1.0, -1.0, 1.0]


@pytest.mark.slow
@pytest.mark.parametrize("layer", [Shares, Logarithm], ids=lambda layer: layer.__name__)
def test_only_finite_values_blames_what_is_not_finite(layer):
    report = check_layer(LayerCase(layer, np.maximum(STEPS, 0.0)), on_fail="report")
    assert [failure.check for failure in report.failures] == ["finite_values"], str(report)


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        ("finite_differences", "outputs or losses are not finite"),
        ("replicas", "on one device it is not finite either"),
    ],
)
def test_other_checks_say_that_they_cannot_judge(check, reason):
    case = LayerCase(Logarithm, np.maximum(STEPS, 0.0))
    (result,) = check_layer(case, checks=[check]).results
    assert result.verdict == "skipped"
    assert reason in result.reason
