"""Right layers that look suspicious to the checks of masks, and what those are made of."""

import pytest
import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import INPUTS, MASK
from tfk_patterns.parity import LayerCase, check_layer
from tfk_patterns.parity.masks import padding

CHECKS = ("mask_shape", "mask_dtype", "mask_lost", "padding_content", "padding_length")


class MaskedSoftmax(keras.layers.Layer):
    """Uses the mask, passes it on, and overflows where numbers are large."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        scores = tf.exp(inputs)
        if mask is not None:
            scores *= tf.cast(mask, inputs.dtype)[:, :, tf.newaxis]
        return scores / tf.maximum(tf.reduce_sum(scores, axis=1, keepdims=True), 1e-9)


class UsedUp(keras.layers.Layer):
    """Supports masking, keeps the steps, and ends the mask, which it has used."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        return inputs if mask is None else tf.where(mask[:, :, tf.newaxis], inputs, 0.0)

    def compute_mask(self, inputs, mask=None):
        return None


class EndsMasks(keras.layers.Layer):
    """Takes the mask off its input, and asks for none."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        return tf.identity(inputs)

    def compute_mask(self, inputs, mask=None):
        return None


class MaskHandedOn(keras.layers.Layer):
    """tf ops before a GRU that is given the mask, and one that has no need of it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.recurrence = keras.layers.GRU(3)
        self.dense = keras.layers.TimeDistributed(keras.layers.Dense(3))

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.recurrence.build(input_shape)
        self.built = True

    def call(self, inputs, mask=None):
        return self.recurrence(self.dense(inputs * 2.0) + inputs, mask=mask)

    def compute_mask(self, inputs, mask=None):
        return None


class OwnWeights(keras.layers.Layer):
    """Pools by a layer that gets no mask, of what it has masked itself."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.pool = keras.layers.GlobalAveragePooling1D()

    def call(self, inputs, mask=None):
        if mask is None:
            return self.pool(inputs)
        weights = tf.cast(mask, inputs.dtype)[:, :, tf.newaxis]
        return self.pool(inputs * weights) / tf.maximum(self.pool(weights), 1e-6)


class AttentionPool(keras.layers.Layer):
    """Ends the steps, and returns how much each of them weighs."""

    def build(self, input_shape):
        self.query = self.add_weight(name="query", shape=(input_shape[-1],))
        self.built = True

    def call(self, inputs, mask=None):
        scores = tf.linalg.matvec(inputs, tf.convert_to_tensor(self.query))
        if mask is not None:
            scores = tf.where(mask, scores, scores.dtype.min)
        weights = tf.nn.softmax(scores)
        return tf.reduce_sum(weights[:, :, tf.newaxis] * inputs, axis=1), weights


class LeakyInside(keras.layers.Layer):
    """Keras' own LayerNormalization inside supports masking, and over steps reads the padding."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.norm = keras.layers.LayerNormalization(axis=[1, 2])

    def build(self, input_shape):
        self.norm.build(input_shape)
        self.built = True

    def call(self, inputs):
        return self.norm(inputs)


class Reversed(keras.layers.Layer):
    """Its mask is reversed with it: padding comes first."""

    def call(self, inputs):
        return tf.reverse(inputs, axis=[1])

    def compute_mask(self, inputs, mask=None):
        return None if mask is None else mask[:, ::-1]


class PenaltyOfValidSteps(keras.layers.Layer):
    """A penalty and a metric of valid steps, beside one that Keras takes of all outputs."""

    def __init__(self, **kwargs):
        super().__init__(activity_regularizer="l2", **kwargs)
        self.supports_masking = True
        self.magnitude = keras.metrics.Mean(name=f"{self.name}_magnitude")

    def call(self, inputs, mask=None):
        weights = tf.ones_like(inputs[..., 0]) if mask is None else tf.cast(mask, inputs.dtype)
        squares = tf.reduce_mean(tf.square(inputs), axis=-1)
        self.magnitude.update_state(squares, sample_weight=weights)
        valid = tf.maximum(tf.reduce_sum(weights), 1.0)
        self.add_loss(tf.reduce_sum(tf.where(weights > 0, squares, 0.0)) / valid)
        return tf.identity(inputs)


def verdicts(layer, **arguments):
    case = LayerCase(lambda: layer(**arguments), INPUTS, mask=MASK, name=layer.__name__)
    return {result.check: result for result in check_layer(case, checks=CHECKS).results}


@pytest.mark.parametrize(
    "layer",
    [MaskedSoftmax, UsedUp, EndsMasks, MaskHandedOn, OwnWeights, AttentionPool, Reversed],
    ids=lambda layer: layer.__name__,
)
def test_right_layers_are_not_blamed(layer):
    found = verdicts(layer)
    assert found["padding_content"].verdict == "passed"
    assert found["padding_length"].verdict == "passed"


@pytest.mark.parametrize(
    "make",
    [PenaltyOfValidSteps, lambda: keras.layers.LSTM(2, activity_regularizer="l2")],
    ids=["penalty", "LSTM"],
)
def test_that_keras_regularizes_padding_is_said_not_blamed(make):
    case = LayerCase(make, INPUTS, MASK, name="regularized")
    for result in check_layer(case, checks=["padding_content", "padding_length"]).results:
        assert result.verdict == "passed"
        assert "Keras applies an `activity_regularizer` to padding too" in result.reason
        assert case.make().activity_regularizer is not None


def test_a_layer_of_keras_that_takes_no_mask_is_not_judged():
    found = verdicts(keras.layers.Conv1D, filters=2, kernel_size=2)
    assert {result.verdict for result in found.values()} == {"skipped"}
    assert found["padding_content"].reason == "Keras' Conv1D takes no mask"


def test_what_a_layer_of_keras_lets_in_is_no_fault_of_the_layer_around_it():
    case = LayerCase(LeakyInside, INPUTS, mask=MASK)
    (result,) = check_layer(case, checks=["padding_content"]).results
    assert result.verdict == "skipped"
    assert "Keras' own LayerNormalization lets padding in" in result.reason


def test_rubbish_is_written_into_the_padding_only():
    inputs, mask = tf.constant([[1.0, 2.0]]), tf.constant([[True, False]])
    data = {"inputs": inputs, "mask": mask, "kwargs": {}}
    found = padding.with_rubbish(data, 1000.0)["inputs"].numpy()
    assert found[0, 0] == 1.0
    assert 100.0 < abs(found[0, 1]) < 1000.0


def test_ids_in_the_padding_stay_among_those_there_are():
    inputs, mask = tf.constant([[3, 7, 9]]), tf.constant([[True, False, False]])
    data = {"inputs": inputs, "mask": mask, "kwargs": {}}
    assert set(padding.with_rubbish(data, 1.0)["inputs"].numpy().ravel()) <= {3, 7, 9}


def test_a_sample_without_a_valid_step_is_not_valid():
    mask = tf.constant([[True, False], [False, False]])
    data = {"inputs": tf.zeros((2, 2, 1)), "mask": mask, "kwargs": {}}
    valid = padding.valid_outputs(data, tf.zeros((2, 3)))
    assert valid["outputs"].tolist() == [[True] * 3, [False] * 3]
