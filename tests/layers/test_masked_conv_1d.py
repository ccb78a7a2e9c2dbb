"""MaskedConv1D against the oracle and Keras: paddings, strides, dilations, masks, empty batches."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers import oracles
from tests.layers.cases import MASK, STEPS
from tfk_patterns.layers import MaskedConv1D, MaskedPooling1D

CLOSE = {"rtol": 1e-5, "atol": 1e-5}  # float32 sums of up to 15 terms
_DRAWS = np.random.default_rng(7)
SEQUENCES = _DRAWS.normal(size=(5, 14, 3)).astype("float32")
# Full, cut short, with gaps, valid at the end alone, and fully masked.
LONG_MASK = np.array([[1] * 14, [1] * 6 + [0] * 8, [0, 1, 1, 0] * 3 + [0, 0], [0] * 12 + [1] * 2,
                      [0] * 14], bool)  # fmt: skip
each_padding = pytest.mark.parametrize("padding", ["same", "causal", "valid"])
each_mask = pytest.mark.parametrize("mask", [None, LONG_MASK], ids=["unmasked", "masked"])


def made(size, features=3, **arguments):
    """A layer with two filters and drawn weights, and these."""
    rng = np.random.default_rng(8)
    kernel, bias = rng.normal(size=(size, features, 2)), rng.normal(size=2)
    layer = MaskedConv1D(2, size, **arguments)
    layer.build((None, None, features))
    layer.kernel.assign(kernel)
    layer.bias.assign(bias)
    return layer, kernel, bias


def assert_values(inputs, mask, size, strides, padding, dilation, renormalize):
    arguments = {"strides": strides, "padding": padding, "renormalize": renormalize}
    layer, kernel, bias = made(size, dilation_rate=dilation, **arguments)
    expected, expected_mask = oracles.convolved(
        inputs, mask, kernel, bias, dilation=dilation, **arguments
    )
    message = f"size {size}, dilation {dilation}, {arguments}"
    outputs = layer(inputs, mask=mask)
    np.testing.assert_allclose(outputs, expected, **CLOSE, err_msg=message)
    assert tuple(layer.compute_output_shape(inputs.shape)) == expected.shape, message
    computed = layer.compute_mask(inputs, mask)
    assert computed is None if mask is None else np.array_equal(computed, expected_mask), message


@each_padding
@each_mask
@pytest.mark.parametrize("renormalize", [False, True])
def test_values(padding, mask, renormalize):
    for size, (strides, dilation) in itertools.product(
        range(1, 6), [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3), (2, 2), (3, 2)]
    ):
        assert_values(SEQUENCES, mask, size, strides, padding, dilation, renormalize)


@pytest.mark.parametrize("padding", ["same", "causal"])
@pytest.mark.parametrize("renormalize", [False, True])
def test_windows_longer_than_the_sequence(padding, renormalize):
    for size, strides in itertools.product((4, 5), (1, 2)):
        assert_values(STEPS[:, :2], MASK[:, :2], size, strides, padding, 1, renormalize)
        assert_values(STEPS, MASK, size, 1, padding, 3, renormalize)


@each_padding
def test_without_a_mask_it_equals_conv1d_of_keras(padding):
    for size, dilation in itertools.product(range(1, 6), (1, 2)):
        layer, kernel, bias = made(size, padding=padding, dilation_rate=dilation)
        theirs = keras.layers.Conv1D(2, size, padding=padding, dilation_rate=dilation)
        theirs.build((None, None, 3))
        theirs.set_weights([kernel, bias])
        np.testing.assert_allclose(layer(SEQUENCES), theirs(SEQUENCES), **CLOSE)


@each_padding
@each_mask
@pytest.mark.parametrize(("strides", "dilation"), [(1, 2), (2, 1), (2, 2)])
@pytest.mark.parametrize("renormalize", [False, True])
def test_gradients(padding, mask, strides, dilation, renormalize):
    arguments = {"strides": strides, "padding": padding, "renormalize": renormalize}
    layer, kernel, bias = made(3, dilation_rate=dilation, dtype="float64", **arguments)
    inputs = tf.constant(SEQUENCES[:, :8], tf.float64)
    mask = None if mask is None else mask[:, :8]

    def oracle(x, k, b):
        return oracles.convolved(x, mask, k, b, dilation=dilation, **arguments)[0]

    weights = np.random.default_rng(1).normal(size=oracle(inputs, kernel, bias).shape)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(layer(inputs, mask=mask) * weights)
    gradients = tape.gradient(loss, [inputs, *layer.trainable_weights])
    points = (inputs, kernel, bias)
    for i, (gradient, point) in enumerate(zip(gradients, points, strict=True)):
        expected = oracles.numeric_gradient(
            lambda x, i=i: (oracle(*points[:i], x, *points[i + 1 :]) * weights).sum(), point
        )
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7)


@each_padding
@pytest.mark.parametrize("rubbish", [1e30, np.inf, np.nan])
def test_what_stands_in_the_padding_does_not_matter(padding, rubbish):
    layer, kernel, bias = made(3, padding=padding, strides=2, renormalize=True)
    inputs = tf.constant(np.where(LONG_MASK[..., np.newaxis], SEQUENCES, np.float32(rubbish)))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, mask=LONG_MASK)
    expected, _ = oracles.convolved(SEQUENCES, LONG_MASK, kernel, bias, 2, padding, 1, True)
    np.testing.assert_allclose(outputs, expected, **CLOSE)
    of_inputs, *of_weights = tape.gradient(outputs, [inputs, *layer.trainable_weights])
    assert np.isfinite(of_inputs).all()
    assert not of_inputs.numpy()[~LONG_MASK].any()
    assert all(np.isfinite(gradient).all() for gradient in of_weights)


@each_padding
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("renormalize", [False, True])
def test_more_padding_changes_nothing(padding, strides, renormalize):
    """Where the padding of Keras' "same" begins depends on the length: here it does not."""
    for size, more in itertools.product(range(1, 6), range(1, 5)):
        layer, _, _ = made(size, padding=padding, strides=strides, renormalize=renormalize)
        longer = np.pad(SEQUENCES, ((0, 0), (0, more), (0, 0)), constant_values=7.0)
        longer_mask = np.pad(LONG_MASK, ((0, 0), (0, more)))
        expected = layer(SEQUENCES, mask=LONG_MASK).numpy()
        steps = expected.shape[1]
        outputs = layer(longer, mask=longer_mask).numpy()[:, :steps]
        np.testing.assert_allclose(outputs, expected, rtol=1e-6, atol=1e-6)
        mask = np.asarray(layer.compute_mask(SEQUENCES, LONG_MASK))
        assert np.array_equal(np.asarray(layer.compute_mask(longer, longer_mask))[:, :steps], mask)


@each_padding
@pytest.mark.parametrize("masked", [False, True])
def test_a_batch_of_none(padding, masked):
    layer, _, _ = made(3, padding=padding, strides=2, renormalize=True)
    inputs = tf.zeros((0, 14, 3))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, mask=LONG_MASK[:0] if masked else None)
    of_inputs, *of_weights = tape.gradient(outputs, [inputs, *layer.trainable_weights])
    assert outputs.shape == (0, 6 if padding == "valid" else 7, 2)
    assert of_inputs.shape == inputs.shape
    assert not any(np.any(gradient) for gradient in of_weights)


def test_activation_bias_and_regularizers():
    layer = MaskedConv1D(
        2, 3, activation="relu", use_bias=False, kernel_initializer="ones", kernel_regularizer="l2"
    )
    outputs = layer(SEQUENCES, mask=LONG_MASK)
    expected, _ = oracles.convolved(SEQUENCES, LONG_MASK, np.ones((3, 3, 2)), 0.0)
    np.testing.assert_allclose(outputs, np.maximum(expected, 0), **CLOSE)
    assert len(layer.weights) == 1
    np.testing.assert_allclose(sum(layer.losses), 0.01 * 18, rtol=1e-6)
    biased = MaskedConv1D(2, 3, activation="sigmoid", bias_initializer="ones")
    fully_masked = biased(SEQUENCES, mask=LONG_MASK).numpy()[4]
    np.testing.assert_allclose(fully_masked, 1 / (1 + np.exp(-1)), rtol=1e-6)


@pytest.mark.parametrize(("policy", "digits"), [("mixed_float16", 1e-2), ("mixed_bfloat16", 8e-2)])
def test_half_precision(policy, digits):
    layer, kernel, bias = made(3, renormalize=True, dtype=policy)
    outputs = layer(SEQUENCES, mask=LONG_MASK)
    assert outputs.dtype == layer.compute_dtype
    expected, _ = oracles.convolved(SEQUENCES, LONG_MASK, kernel, bias, renormalize=True)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(tf.cast(outputs, tf.float64), expected, atol=digits * scale)


@pytest.mark.parametrize("run_eagerly", [False, True])
@each_padding
def test_the_mask_reaches_the_next_layer_and_models_train_and_come_back(
    padding, run_eagerly, tmp_path
):
    layer, kernel, bias = made(3, padding=padding, strides=2, renormalize=True)
    sequence = keras.Input((None, 3))
    x = MaskedPooling1D("sum")(layer(keras.layers.Masking(mask_value=-9.0)(sequence)))
    model = keras.Model(sequence, x)
    cut = np.where(LONG_MASK[..., np.newaxis], SEQUENCES, np.float32(-9.0))
    outputs, mask = oracles.convolved(SEQUENCES, LONG_MASK, kernel, bias, 2, padding, 1, True)
    expected = oracles.pooled(outputs, mask, "sum")
    np.testing.assert_allclose(model(cut), expected, **CLOSE)
    model.compile(keras.optimizers.SGD(1e-3), "mse", run_eagerly=run_eagerly)
    losses = model.fit(cut, np.zeros((5, 2)), epochs=3, verbose=0).history["loss"]
    np.testing.assert_allclose(losses[0], (expected**2).mean(), rtol=1e-5)
    assert losses[2] < losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(cut), model(cut), rtol=1e-6)
    again.fit(cut, np.zeros((5, 2)), verbose=0)


@pytest.mark.parametrize("padding", ["same", "causal", "valid"])
@pytest.mark.parametrize("xla", [False, True], ids=["graph", "xla"])
def test_a_traced_batch_of_none_has_the_shape_of_the_outputs(padding, xla):
    layer = MaskedConv1D(2, 3, padding=padding, renormalize=True)
    layer.build((None, None, 3))

    @tf.function(jit_compile=xla)
    def call(inputs, mask):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, mask=mask)
        return outputs, tape.gradient(outputs, inputs)

    outputs, gradient = call(tf.zeros((0, 7, 3)), tf.ones((0, 7), tf.bool))
    assert outputs.shape == tuple(layer.compute_output_shape((0, 7, 3)))
    assert gradient.shape == (0, 7, 3)
