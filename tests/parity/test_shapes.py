"""Right layers that look suspicious to the checks of shapes, and what those are made of."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity import LayerCase, check_layer
from tfk_patterns.parity.shapes import resizing
from tfk_patterns.parity.subject import Subject

STEPS = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
CHECKS = ("batch_sizes", "batch_independence", "unknown_dimensions", "symbolic_shape")


class Codebook(keras.layers.Layer):
    """Returns a table of as many rows as there are samples."""

    def build(self, input_shape):
        self.table = self.add_weight(name="table", shape=(4, input_shape[-1]))
        self.built = True

    def call(self, inputs):
        return inputs, tf.convert_to_tensor(self.table)


class StepsFirst(keras.layers.Layer):
    def call(self, inputs):
        return tf.transpose(inputs, (1, 0, 2))


class Similarities(keras.layers.Layer):
    """Compares each sample with each other, in outputs that say so by their shape."""

    def call(self, inputs):
        pooled = tf.reduce_mean(inputs, axis=1)
        return tf.nn.softmax(tf.matmul(pooled, pooled, transpose_b=True))


class Heads(keras.layers.Layer):
    """`tf.reshape` finds no size for -1 in an empty batch."""

    def call(self, inputs):
        return tf.reshape(inputs, (tf.shape(inputs)[0], -1, 1, 3))


class Flattened(keras.layers.Layer):
    """Has features of a known number, and so needs to know the steps."""

    def call(self, inputs):
        return tf.reshape(inputs, (-1, inputs.shape[1] * inputs.shape[2]))


class SaysWhatItNeeds(keras.layers.Layer):
    def call(self, inputs):
        if inputs.shape[1] is None:
            raise ValueError("The number of steps must be known.")
        return inputs / inputs.shape[1]


class LearnedPositions(keras.layers.Layer):
    def build(self, input_shape):
        self.table = self.add_weight(name="table", shape=input_shape[1:])
        self.built = True

    def call(self, inputs):
        return inputs + tf.convert_to_tensor(self.table)


class Convolved(keras.layers.Layer):
    """TensorFlow's convolution gives an empty batch the shape of its input."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.layers.Conv1D(2, 3, use_bias=False)

    def build(self, input_shape):
        self.inner.build(input_shape)
        self.built = True

    def call(self, inputs):
        return self.inner(inputs)


class MeanAmongOutputs(keras.layers.Layer):
    """A dict of outputs, one of which has no axis of samples."""

    def call(self, inputs):
        return {"mean": tf.reduce_mean(inputs), "steps": inputs}


RIGHT = [Codebook, StepsFirst, Similarities, Heads, Flattened, SaysWhatItNeeds]
RIGHT += [LearnedPositions, Convolved, MeanAmongOutputs]


@pytest.mark.parametrize("layer", RIGHT, ids=lambda layer: layer.__name__)
def test_right_layers_are_not_blamed(layer):
    report = check_layer(LayerCase(layer, STEPS), checks=CHECKS)
    skipped = {result.check for result in report.results if result.verdict == "skipped"}
    assert skipped <= ({"batch_independence"} if layer is Similarities else set())


class DenseInTime(keras.layers.Layer):
    """Keras 3's TimeDistributed inside takes the batch for the steps where they are unknown."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.TimeDistributed(keras.layers.Dense(3))

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True

    def call(self, inputs):
        return self.dense(inputs)


def test_what_a_layer_of_keras_gets_wrong_is_no_fault_of_the_layer_around_it():
    case = LayerCase(DenseInTime, STEPS)
    (result,) = check_layer(case, checks=["unknown_dimensions"]).results
    assert result.verdict == "passed"
    excused = "Keras' own TimeDistributed is wrong for an unknown size" in result.reason
    assert excused == (_keras.GENERATION == 3)


class NormalisedTwice(keras.layers.Layer):
    """Keras 2's LayerNormalization over two axes cannot be traced for an unknown batch size."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = keras.layers.LayerNormalization(axis=[1, 2])

    def build(self, input_shape):
        self.norm.build(input_shape)
        self.built = True

    def call(self, inputs):
        return self.norm(inputs)


def cannot_be_traced():
    """Whether it is so on this processor: oneDNN makes one op of the layer on some alone."""
    traced = tf.function(NormalisedTwice(), input_signature=[tf.TensorSpec([None, 5, 3])])
    try:
        traced(STEPS)
    except tf.errors.InvalidArgumentError:
        return True
    return False


def test_a_layer_of_keras_that_cannot_be_traced_leaves_nothing_to_compare():
    case = LayerCase(NormalisedTwice, STEPS)
    (result,) = check_layer(case, checks=["unknown_dimensions"]).results
    faulty = cannot_be_traced()
    assert result.verdict == ("skipped" if faulty else "passed")
    excused = "Keras' own LayerNormalization is wrong for an unknown size" in result.reason
    assert excused == faulty


class NeedsOneOfTwoAxes(keras.layers.Layer):
    def call(self, inputs):
        if list(inputs.shape[1:]).count(None) == 2:
            raise ValueError("The height or the width must be known.")
        return inputs * 2.0


def test_axes_that_cannot_be_unknown_together_are_no_fault():
    inputs = np.ones((2, 4, 5, 3), "float32")
    (result,) = check_layer(
        LayerCase(NeedsOneOfTwoAxes, inputs), checks=["unknown_dimensions"]
    ).results
    assert result.verdict == "passed"
    assert "the layer needs to know it" in result.reason


def test_stateful_layers_are_not_asked_for_other_batches():
    case = LayerCase(lambda: keras.layers.GRU(2, stateful=True), STEPS, name="stateful")
    verdicts = {result.verdict for result in check_layer(case, checks=CHECKS).results}
    assert verdicts == {"skipped"}


def test_one_sample_is_no_reason_to_skip():
    report = check_layer(LayerCase(lambda: keras.layers.Dense(2), STEPS[:1]), checks=CHECKS)
    assert {result.verdict for result in report.results} == {"passed"}


def test_free_axes_are_those_that_eager_mode_leaves_free():
    mixed = LayerCase(lambda: keras.layers.Dense(2), np.ones((2, 4, 5, 3), "float32"))
    assert list(resizing.free_axes(Subject(mixed))) == [resizing.Axis(1, 4), resizing.Axis(2, 5)]
    fixed = LayerCase(LearnedPositions, STEPS)
    assert list(resizing.free_axes(Subject(fixed))) == []


def test_ids_have_steps_and_no_features():
    axis = resizing.Axis(1, 5)
    assert axis.is_in(tf.zeros((2, 5), tf.int32))
    assert axis.is_in(tf.zeros((2, 5), tf.bool))
    assert axis.is_in(tf.zeros((2, 5, 5)))
    assert not axis.is_in(tf.zeros((2, 5)))


def test_grown_data_repeat_what_is_there():
    data = {"inputs": tf.constant([[1, 2]]), "mask": tf.constant([[True, False]]), "kwargs": {}}
    longer = resizing.grown(data, [resizing.Axis(1, 2)])
    assert longer["inputs"].numpy().tolist() == [[1, 2, 1, 2, 1]]
    assert longer["mask"].numpy().tolist() == [[True, False, True, False, True]]


class ContrastsInBatch(keras.layers.Layer):
    """Needs a sample to choose from."""

    def call(self, inputs):
        pooled = tf.reduce_mean(inputs, axis=1)
        logits = tf.matmul(pooled, pooled, transpose_b=True)
        places = tf.range(tf.shape(inputs)[0])
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(places, logits)
        self.add_loss(tf.reduce_mean(losses))
        return tf.identity(inputs)


class ReadsValues(keras.layers.Layer):
    """Cannot be traced, and takes no empty batch."""

    def call(self, inputs):
        if not len(inputs.numpy()):
            raise ValueError("There must be samples.")
        return tf.identity(inputs)


@pytest.mark.parametrize(
    ("layer", "message", "hint"),
    [
        (ContrastsInBatch, "Must have at least one class", "has nothing to take the mean of"),
        (ReadsValues, "There must be samples", "Take the batch size from this call"),
    ],
)
def test_what_an_empty_batch_met_is_told(layer, message, hint):
    report = check_layer(LayerCase(layer, STEPS), checks=["batch_sizes"], on_fail="report")
    (failure,) = report.failures
    assert message in failure.message
    assert hint in failure.hint
