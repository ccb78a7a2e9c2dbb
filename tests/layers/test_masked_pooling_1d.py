"""MaskedPooling1D against the oracle: values, gradients, masks, empty and long sequences."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers import oracles
from tests.layers.cases import MASK, STEPS
from tfk_patterns.layers import MaskedPooling1D

CLOSE = {"rtol": 1e-5, "atol": 1e-6}  # float32 sums of a few terms
POOLINGS = ["mean", "max", "min", "sum", "first", "last"]
each_pooling = pytest.mark.parametrize("pooling", POOLINGS)
each_mask = pytest.mark.parametrize("mask", [None, MASK], ids=["unmasked", "masked"])


@each_pooling
@each_mask
def test_values(pooling, mask):
    expected = oracles.pooled(STEPS, mask, pooling)
    np.testing.assert_allclose(MaskedPooling1D(pooling)(STEPS, mask=mask), expected, **CLOSE)
    kept = MaskedPooling1D(pooling, keepdims=True)(STEPS, mask=mask)
    np.testing.assert_allclose(kept, expected[:, np.newaxis], **CLOSE)


@each_pooling
@each_mask
def test_gradients(pooling, mask):
    layer, inputs = MaskedPooling1D(pooling, dtype="float64"), tf.constant(STEPS, tf.float64)
    weights = np.random.default_rng(1).normal(size=(4, 3))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(layer(inputs, mask=mask) * weights)
    expected = oracles.numeric_gradient(
        lambda x: (oracles.pooled(x, mask, pooling) * weights).sum(), STEPS
    )
    np.testing.assert_allclose(tape.gradient(loss, inputs), expected, rtol=1e-6, atol=1e-8)


@each_pooling
@pytest.mark.parametrize("rubbish", [1e30, -np.inf, np.nan])
def test_what_stands_in_the_padding_does_not_matter(pooling, rubbish):
    inputs = tf.constant(np.where(MASK[..., np.newaxis], STEPS, np.float32(rubbish)))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = MaskedPooling1D(pooling)(inputs, mask=MASK)
    np.testing.assert_allclose(outputs, oracles.pooled(STEPS, MASK, pooling), **CLOSE)
    gradient = tape.gradient(outputs, inputs).numpy()
    assert np.isfinite(gradient).all()
    assert not gradient[~MASK].any()


@each_pooling
def test_a_fully_masked_row_gives_zeros_and_zero_gradients(pooling):
    inputs = tf.constant(STEPS)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = MaskedPooling1D(pooling)(inputs, mask=MASK)
    assert not outputs.numpy()[3].any()
    assert not tape.gradient(outputs, inputs).numpy()[3].any()


@each_pooling
def test_no_steps_at_all_give_zeros(pooling):
    outputs = MaskedPooling1D(pooling)(tf.zeros((2, 0, 3)))
    assert np.array_equal(outputs, np.zeros((2, 3)))


@each_pooling
def test_more_padding_changes_nothing(pooling):
    longer = np.pad(STEPS, ((0, 0), (0, 3), (0, 0)), constant_values=7.0)
    longer_mask = np.pad(MASK, ((0, 0), (0, 3)))
    layer = MaskedPooling1D(pooling)
    assert np.array_equal(layer(longer, mask=longer_mask), layer(STEPS, mask=MASK))


def test_equal_maxima_share_the_gradient():
    inputs = tf.constant([[[1.0], [1.0], [0.0]]])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = MaskedPooling1D("max")(inputs)
    assert tape.gradient(outputs, inputs).numpy().ravel().tolist() == [0.5, 0.5, 0.0]


def test_the_mask_of_an_upstream_layer_arrives_and_is_consumed():
    masked = keras.layers.Masking(mask_value=0.0)(
        tf.constant(np.where(MASK[..., np.newaxis], STEPS, np.float32(0.0)))
    )
    layer = MaskedPooling1D("mean")
    outputs = layer(masked)
    np.testing.assert_allclose(outputs, oracles.pooled(STEPS, MASK, "mean"), **CLOSE)
    assert getattr(outputs, "_keras_mask", None) is None
    assert layer.compute_mask(masked, MASK) is None


def test_float16_sums_do_not_overflow_or_stall():
    """In float16, 4,096 ones add up to 2,048, and 100 times 1,000 to infinity."""
    ones = tf.ones((1, 4096, 1), tf.float16)
    assert float(MaskedPooling1D("sum", dtype="float16")(ones)[0, 0]) == 4096.0
    thousands = tf.fill((1, 100, 1), tf.constant(1000.0, tf.float16))
    assert float(MaskedPooling1D("mean", dtype="mixed_float16")(thousands)[0, 0]) == 1000.0


@pytest.mark.parametrize(("keepdims", "shape"), [(False, (None, 3)), (True, (None, 1, 3))])
def test_output_shape(keepdims, shape):
    layer = MaskedPooling1D(keepdims=keepdims)
    assert tuple(layer.compute_output_shape((None, None, 3))) == shape
    assert tuple(layer(keras.Input((None, 3))).shape) == shape
