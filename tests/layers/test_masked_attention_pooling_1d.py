"""MaskedAttentionPooling1D against the oracle: values, scores, gradients, masks, precisions."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers import oracles
from tests.layers.cases import MASK, STEPS
from tfk_patterns.layers import MaskedAttentionPooling1D

CLOSE = {"rtol": 1e-5, "atol": 1e-6}  # float32 sums of a few terms
each_mask = pytest.mark.parametrize("mask", [None, MASK], ids=["unmasked", "masked"])
_DRAWS = np.random.default_rng(2)
KERNEL, BIAS, QUERY = (_DRAWS.normal(size=shape) for shape in ((3, 2), (2,), (2,)))


def expected_of(inputs, mask):
    """The outputs and the scores that a layer with these weights has."""
    return oracles.attention_pooled(inputs, mask, KERNEL, BIAS, QUERY)


def weighted(**arguments):
    """A layer with the weights above."""
    layer = MaskedAttentionPooling1D(2, **arguments)
    layer.build((None, None, 3))
    for weight, value in ((layer.kernel, KERNEL), (layer.bias, BIAS), (layer.query, QUERY)):
        weight.assign(value)
    return layer


@each_mask
def test_values(mask):
    outputs, scores = weighted()(STEPS, mask=mask, return_attention_scores=True)
    expected_outputs, expected_scores = expected_of(STEPS, mask)
    np.testing.assert_allclose(outputs, expected_outputs, **CLOSE)
    np.testing.assert_allclose(scores, expected_scores, **CLOSE)
    np.testing.assert_allclose(weighted()(STEPS, mask=mask), expected_outputs, **CLOSE)


def test_weights():
    layer = MaskedAttentionPooling1D(7)
    layer.build((None, None, 3))
    shapes = [tuple(w.shape) for w in (layer.kernel, layer.bias, layer.query)]
    assert shapes == [(3, 7), (7,), (7,)]
    assert len(layer.trainable_weights) == 3


@each_mask
def test_gradients(mask):
    layer, inputs = weighted(dtype="float64"), tf.constant(STEPS, tf.float64)
    rng = np.random.default_rng(1)
    of_outputs, of_scores = rng.normal(size=(4, 3)), rng.normal(size=(4, 5))

    def oracle(x, kernel=KERNEL, bias=BIAS, query=QUERY):
        outputs, scores = oracles.attention_pooled(x, mask, kernel, bias, query)
        return (outputs * of_outputs).sum() + (scores * of_scores).sum()

    weights = layer.trainable_weights
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs, scores = layer(inputs, mask=mask, return_attention_scores=True)
        loss = tf.reduce_sum(outputs * of_outputs) + tf.reduce_sum(scores * of_scores)
    of_inputs, *of_weights = tape.gradient(loss, [inputs, *weights])
    close = {"rtol": 1e-6, "atol": 1e-8}
    np.testing.assert_allclose(of_inputs, oracles.numeric_gradient(oracle, STEPS), **close)
    for name, value in (("kernel", KERNEL), ("bias", BIAS), ("query", QUERY)):
        expected = oracles.numeric_gradient(lambda x, n=name: oracle(STEPS, **{n: x}), value)
        (index,) = (i for i, w in enumerate(weights) if w is getattr(layer, name))
        np.testing.assert_allclose(of_weights[index], expected, **close)


@pytest.mark.parametrize("rubbish", [1e30, -np.inf, np.nan])
def test_what_stands_in_the_padding_does_not_matter(rubbish):
    layer = weighted()
    inputs = tf.constant(np.where(MASK[..., np.newaxis], STEPS, np.float32(rubbish)))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs, scores = layer(inputs, mask=MASK, return_attention_scores=True)
        loss = tf.reduce_sum(outputs)
    of_inputs, *of_weights = tape.gradient(loss, [inputs, *layer.trainable_weights])
    expected_outputs, expected_scores = expected_of(STEPS, MASK)
    np.testing.assert_allclose(outputs, expected_outputs, **CLOSE)
    np.testing.assert_allclose(scores, expected_scores, **CLOSE)
    assert not scores.numpy()[~MASK].any()
    assert np.isfinite(of_inputs).all()
    assert not of_inputs.numpy()[~MASK].any()
    assert all(np.isfinite(gradient).all() for gradient in of_weights)


def test_a_fully_masked_row_gives_zeros():
    outputs, scores = weighted()(STEPS, mask=MASK, return_attention_scores=True)
    assert not outputs.numpy()[3].any()
    assert not scores.numpy()[3].any()
    np.testing.assert_allclose(scores.numpy()[:3].sum(axis=1), 1.0, rtol=1e-6)


def test_no_steps_and_no_samples():
    assert np.array_equal(weighted()(tf.zeros((2, 0, 3))), np.zeros((2, 3)))
    assert weighted()(tf.zeros((0, 5, 3))).shape == (0, 3)


@pytest.mark.parametrize("more", [1, 4])
def test_more_padding_changes_nothing(more):
    longer = np.pad(STEPS, ((0, 0), (0, more), (0, 0)), constant_values=7.0)
    longer_mask = np.pad(MASK, ((0, 0), (0, more)))
    outputs, scores = weighted()(longer, mask=longer_mask, return_attention_scores=True)
    np.testing.assert_allclose(outputs, weighted()(STEPS, mask=MASK), rtol=1e-6, atol=1e-7)
    assert not scores.numpy()[:, 5:].any()


def test_large_scores_do_not_overflow():
    """The exponential of 200 is infinite in float32."""
    layer = weighted()
    layer.query.assign(QUERY * 200)
    expected, expected_scores = oracles.attention_pooled(STEPS, MASK, KERNEL, BIAS, QUERY * 200)
    outputs, scores = layer(STEPS, mask=MASK, return_attention_scores=True)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("policy", "digits"), [("mixed_float16", 5e-3), ("mixed_bfloat16", 4e-2)])
def test_half_precision(policy, digits):
    layer = weighted(dtype=policy)
    outputs, scores = layer(STEPS, mask=MASK, return_attention_scores=True)
    assert outputs.dtype == layer.compute_dtype
    for actual, expected in zip((outputs, scores), expected_of(STEPS, MASK), strict=True):
        np.testing.assert_allclose(tf.cast(actual, tf.float64), expected, atol=digits)


def test_half_precision_over_many_steps_does_not_overflow_or_stall():
    layer = weighted(dtype="mixed_float16")
    outputs = layer(np.full((1, 5000, 3), 1000.0, "float32"))
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), 1000.0, rtol=5e-3)


def test_the_mask_of_an_upstream_layer_arrives_and_is_consumed():
    sequence = keras.Input((None, 3))
    masked = keras.layers.Masking(mask_value=-9.0)(sequence)
    layer = weighted()
    both = layer(masked, return_attention_scores=True)
    cut = np.where(MASK[..., np.newaxis], STEPS, np.float32(-9.0))
    results = keras.Model(sequence, both)(cut)
    for actual, expected in zip(results, expected_of(STEPS, MASK), strict=True):
        np.testing.assert_allclose(actual, expected, **CLOSE)
    assert layer.compute_mask(STEPS, MASK) is None
    assert getattr(layer(masked), "_keras_mask", None) is None


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_model_with_it_trains_and_comes_back(run_eagerly, tmp_path):
    sequence = keras.Input((None, 3))
    x = keras.layers.Masking(mask_value=-9.0)(sequence)
    model = keras.Model(sequence, keras.layers.Dense(1, kernel_initializer="ones")(weighted()(x)))
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=run_eagerly)
    cut, targets = np.where(MASK[..., np.newaxis], STEPS, np.float32(-9.0)), np.ones((4, 1))
    losses = model.fit(cut, targets, epochs=3, verbose=0).history["loss"]
    expected = ((expected_of(STEPS, MASK)[0].sum(axis=1) - 1) ** 2).mean()
    np.testing.assert_allclose(losses[0], expected, rtol=1e-5)
    assert losses[2] < losses[0]
    assert not np.allclose(model.layers[-2].query, QUERY, atol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(cut), model(cut), rtol=1e-6)
    again.fit(cut, targets, verbose=0)
