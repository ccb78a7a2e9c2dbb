"""MaskedSequenceNormalization against the oracle: values, gradients, masks, large offsets."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers import oracles
from tests.layers.cases import MASK, STEPS
from tfk_patterns.layers import MaskedPooling1D, MaskedSequenceNormalization

CLOSE = {"rtol": 1e-4, "atol": 1e-5}  # float32, normalised to about 1
each_mask = pytest.mark.parametrize("mask", [None, MASK], ids=["unmasked", "masked"])


@each_mask
@pytest.mark.parametrize("epsilon", [1e-3, 0.5])
@pytest.mark.parametrize("training", [False, True])
def test_values(mask, epsilon, training):
    outputs = MaskedSequenceNormalization(epsilon)(STEPS, mask=mask, training=training)
    np.testing.assert_allclose(outputs, oracles.sequence_normalized(STEPS, mask, epsilon), **CLOSE)


def test_the_default_epsilon():
    outputs = MaskedSequenceNormalization()(STEPS * 0.01)
    expected = oracles.sequence_normalized(STEPS * 0.01, None, 1e-3)
    np.testing.assert_allclose(outputs, expected, **CLOSE)


@each_mask
def test_gradients(mask):
    layer, inputs = MaskedSequenceNormalization(dtype="float64"), tf.constant(STEPS, tf.float64)
    weights = np.random.default_rng(1).normal(size=STEPS.shape)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(layer(inputs, mask=mask) * weights)
    expected = oracles.numeric_gradient(
        lambda x: (oracles.sequence_normalized(x, mask, 1e-3) * weights).sum(), STEPS
    )
    np.testing.assert_allclose(tape.gradient(loss, inputs), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("rubbish", [1e30, np.inf, np.nan])
def test_what_stands_in_the_padding_does_not_matter(rubbish):
    inputs = tf.constant(np.where(MASK[..., np.newaxis], STEPS, np.float32(rubbish)))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = MaskedSequenceNormalization()(inputs, mask=MASK)
        loss = tf.reduce_sum(outputs * tf.constant(STEPS))
    np.testing.assert_allclose(outputs, oracles.sequence_normalized(STEPS, MASK, 1e-3), **CLOSE)
    assert not outputs.numpy()[~MASK].any()
    gradient = tape.gradient(loss, inputs).numpy()
    assert np.isfinite(gradient).all()
    assert not gradient[~MASK].any()


@pytest.mark.parametrize("more", [1, 2, 3, 4])
def test_more_padding_changes_nothing(more):
    layer = MaskedSequenceNormalization()
    longer = np.pad(STEPS, ((0, 0), (0, more), (0, 0)), constant_values=7.0)
    outputs = layer(longer, mask=np.pad(MASK, ((0, 0), (0, more)))).numpy()
    np.testing.assert_allclose(outputs[:, :5], layer(STEPS, mask=MASK), rtol=1e-6, atol=1e-6)
    assert not outputs[:, 5:].any()


def test_a_sample_does_not_depend_on_the_others():
    layer = MaskedSequenceNormalization()
    together = layer(STEPS, mask=MASK, training=True)
    for row in range(4):
        alone = layer(STEPS[row : row + 1], mask=MASK[row : row + 1], training=True)
        np.testing.assert_allclose(together[row : row + 1], alone, rtol=1e-6, atol=1e-6)


def test_a_single_valid_step_and_no_steps_give_zeros():
    layer = MaskedSequenceNormalization()
    assert not layer(STEPS[:, :1]).numpy().any()
    assert layer(tf.zeros((2, 0, 3))).shape == (2, 0, 3)


def test_a_large_offset_does_not_drown_the_variance():
    """In float32, the mean of squares less the squared mean has no digit left here."""
    inputs = STEPS + np.float32(1e4)
    outputs = MaskedSequenceNormalization()(inputs, mask=MASK)
    expected = oracles.sequence_normalized(inputs, MASK, 1e-3)
    np.testing.assert_allclose(outputs, expected, rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize(("policy", "digits"), [("mixed_float16", 1e-2), ("mixed_bfloat16", 5e-2)])
def test_half_precision(policy, digits):
    """300 and its square: the square is infinite in float16."""
    inputs = tf.cast(STEPS * 300, policy.removeprefix("mixed_"))
    layer = MaskedSequenceNormalization(dtype=policy)
    outputs = layer(inputs, mask=MASK)
    assert outputs.dtype == layer.compute_dtype
    expected = oracles.sequence_normalized(tf.cast(inputs, tf.float64), MASK, 1e-3)
    np.testing.assert_allclose(tf.cast(outputs, tf.float64), expected, rtol=digits, atol=digits)


def test_masks_are_passed_on():
    layer = MaskedSequenceNormalization()
    assert np.array_equal(layer.compute_mask(STEPS, MASK), MASK)
    assert layer.compute_mask(STEPS, None) is None
    sequence = keras.Input((None, 3))
    masked = keras.layers.Masking(mask_value=-9.0)(sequence)
    pooled = MaskedPooling1D("max")(layer(masked))
    cut = np.where(MASK[..., np.newaxis], STEPS, np.float32(-9.0))
    expected = oracles.pooled(oracles.sequence_normalized(STEPS, MASK, 1e-3), MASK, "max")
    np.testing.assert_allclose(keras.Model(sequence, pooled)(cut), expected, **CLOSE)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_model_with_it_trains_and_comes_back(run_eagerly, tmp_path):
    sequence = keras.Input((None, 3))
    x = keras.layers.Masking(mask_value=-9.0)(sequence)
    x = MaskedPooling1D("max")(MaskedSequenceNormalization(epsilon=0.1)(x))
    model = keras.Model(sequence, keras.layers.Dense(1, kernel_initializer="ones")(x))
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=run_eagerly)
    cut, targets = np.where(MASK[..., np.newaxis], STEPS, np.float32(-9.0)), np.ones((4, 1))
    features = oracles.pooled(oracles.sequence_normalized(STEPS, MASK, 0.1), MASK, "max")
    expected = ((features.sum(axis=1, keepdims=True) - targets) ** 2).mean()
    history = model.fit(cut, targets, epochs=3, verbose=0).history["loss"]
    np.testing.assert_allclose(history[0], expected, rtol=1e-5)
    assert history[2] < history[0]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(cut), model(cut), rtol=1e-6)
