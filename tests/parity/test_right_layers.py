"""Right layers of unusual kinds, none of which the harness may blame."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfk_patterns.parity import LayerCase, check_layer

VECTORS = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
IMAGES = np.random.default_rng(0).uniform(size=(2, 4, 4, 3)).astype("float32")


class UnnamedWeights(keras.layers.Layer):
    """Keras 3 numbers weights without a name over all layers."""

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(3, 3), initializer="ones")
        self.bias = self.add_weight(shape=(3,), initializer="ones")
        self.built = True

    def call(self, inputs):
        return tf.matmul(inputs, tf.convert_to_tensor(self.kernel)) + self.bias


class NoGradient(keras.layers.Layer):
    def call(self, inputs):
        return tf.image.adjust_hue(inputs, 0.2)


class ComplexOutput(keras.layers.Layer):
    def call(self, inputs):
        return tf.signal.fft(tf.cast(inputs, tf.complex64))


class RaggedOutput(keras.layers.Layer):
    def call(self, inputs):
        return tf.RaggedTensor.from_tensor(inputs)


class NumberAmongOutputs(keras.layers.Layer):
    def call(self, inputs):
        return {"inputs": inputs, "temperature": 1.5}


class SampledCandidates(keras.layers.Layer):
    def call(self, inputs):
        classes = tf.zeros((4, 1), tf.int64)
        sampled, *_ = tf.random.log_uniform_candidate_sampler(classes, 1, 2, True, 50)
        return tf.cast(inputs, tf.int64) + sampled[0]


class SumAndMean(keras.metrics.Metric):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, values, sample_weight=None):
        self.total.assign_add(tf.reduce_sum(tf.cast(values, self.total.dtype)))

    def result(self):
        total = tf.convert_to_tensor(self.total)
        return {"sum": total, "half": total / 2}


class MetricOfTwoResults(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.metric = SumAndMean(name=f"{self.name}_sums")

    def call(self, inputs):
        self.metric.update_state(inputs)
        return inputs


CASES = [
    LayerCase(UnnamedWeights, VECTORS),
    LayerCase(NoGradient, IMAGES),
    LayerCase(ComplexOutput, VECTORS),
    LayerCase(RaggedOutput, VECTORS),
    LayerCase(NumberAmongOutputs, VECTORS),
    LayerCase(
        SampledCandidates,
        VECTORS,
        expected_failures={"random_inference": "it samples in inference as in training"},
    ),
    LayerCase(MetricOfTwoResults, VECTORS),
    LayerCase(
        lambda: keras.layers.GRU(3),
        IMAGES[0],
        call_kwargs={"initial_state": np.ones((4, 3), "float32")},
        name="GRU",
    ),
]


QUICK = {"UnnamedWeights", "ComplexOutput", "SampledCandidates"}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=[pytest.mark.slow] * (case.name not in QUICK))
        for case in CASES
    ],
)
def test_it_passes(case):
    report = check_layer(case)
    verdicts = {result.check: result.verdict for result in report.results}
    expected = "skipped" if case.name == "SampledCandidates" else "passed"
    assert verdicts["outputs"] == expected
    assert verdicts["fit"] == expected


def test_a_gradient_that_is_not_defined_is_said_not_blamed():
    (result,) = check_layer(LayerCase(NoGradient, IMAGES), checks=["gradients"]).results
    assert result.verdict == "skipped"
    assert "TensorFlow defines no gradient" in result.reason
