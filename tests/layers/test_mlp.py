"""MLP against the oracle: blocks, normalisation, masks, residuals, when it builds, training."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers import oracles
from tests.layers.cases import IMAGES, MASK, STEPS, VECTORS
from tfk_patterns.layers import MLP, MaskedPooling1D

CLOSE = {"rtol": 1e-5, "atol": 1e-5}  # float32, sums of a few terms in a few layers
NORMALIZATIONS = [None, "layer", "batch"]


def relu(x):
    return np.maximum(x, 0.0)


def linear(x):
    return x


def numbers(variable):
    return tf.convert_to_tensor(variable).numpy().astype("float64")


def drawn(layer, features):
    """The layer, built, with drawn weights: those of a new one are zeros and ones in part."""
    rng = np.random.default_rng(9)
    if not layer.built:
        layer.build((None, None, features) if features == 3 else (None, features))
    for weight in layer.trainable_weights:
        weight.assign(numbers(weight) + rng.normal(size=weight.shape) * 0.3)
    return layer


def expected_of(layer, inputs, mask=None, training=False, activation=relu, final=linear):
    """What the weights of the layer give in NumPy."""

    def normalize(block, features):
        norm = layer.normalization_layers[block]
        gamma, beta, epsilon = numbers(norm.gamma), numbers(norm.beta), norm.epsilon
        if layer.normalization == "layer":
            return oracles.layer_norm(features, gamma, beta, epsilon)
        if training:
            rows = oracles.valid_rows(features, mask)
            mean, variance = rows.mean(axis=0), rows.var(axis=0)
        else:
            mean, variance = numbers(norm.moving_mean), numbers(norm.moving_variance)
        return oracles.batch_norm(features, mean, variance, gamma, beta, epsilon)

    return oracles.mlp(
        inputs,
        [numbers(dense.kernel) for dense in layer.dense_layers],
        [numbers(dense.bias) for dense in layer.dense_layers],
        activation,
        final,
        normalize if layer.normalization else None,
        layer.residual,
    )


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("units", [[2], [5, 2], [4, 4, 3, 3], [4, 4]], ids=str)
def test_values(normalization, residual, units):
    layer = drawn(MLP(units, normalization=normalization, residual=residual), 4)
    np.testing.assert_allclose(layer(VECTORS), expected_of(layer, VECTORS), **CLOSE)
    outputs = layer(VECTORS, training=True)
    np.testing.assert_allclose(outputs, expected_of(layer, VECTORS, training=True), **CLOSE)
    assert len(layer.dense_layers) == len(units)
    assert len(layer.normalization_layers) == (len(units) - 1 if normalization else 0)


@pytest.mark.parametrize("inputs", [STEPS, IMAGES], ids=["steps", "images"])
def test_any_rank(inputs):
    layer = MLP([4, 2], "tanh", final_activation="sigmoid")
    outputs = layer(inputs)
    expected = expected_of(layer, inputs, activation=np.tanh, final=lambda x: 1 / (1 + np.exp(-x)))
    np.testing.assert_allclose(outputs, expected, **CLOSE)
    assert tuple(layer.compute_output_shape(inputs.shape)) == outputs.shape


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("rubbish", [0.0, 1e4])
def test_batch_statistics_leave_masked_positions_out(residual, rubbish):
    layer = drawn(MLP([3, 3, 3], normalization="batch", residual=residual), 3)
    dirty = np.where(MASK[..., np.newaxis], STEPS, np.float32(rubbish))
    outputs = layer(dirty, mask=MASK, training=True).numpy()
    expected = expected_of(layer, STEPS, MASK, training=True)
    np.testing.assert_allclose(outputs[MASK], expected[MASK], **CLOSE)
    inference = layer(dirty, mask=MASK).numpy()
    np.testing.assert_allclose(inference[MASK], expected_of(layer, STEPS)[MASK], **CLOSE)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_gradients(normalization):
    layer = drawn(
        MLP([3, 3], "tanh", normalization=normalization, residual=True, dtype="float64"), 3
    )
    inputs, mask = tf.constant(STEPS, tf.float64), MASK if normalization else None
    weights = np.random.default_rng(1).normal(size=STEPS.shape)
    weights *= 1 if mask is None else mask[..., np.newaxis]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(layer(inputs, mask=mask, training=True) * weights)

    def oracle(x):
        return (expected_of(layer, x, mask, training=True, activation=np.tanh) * weights).sum()

    expected = oracles.numeric_gradient(oracle, STEPS)
    np.testing.assert_allclose(tape.gradient(loss, inputs), expected, rtol=1e-5, atol=1e-7)


def test_with_its_input_dim_it_builds_at_once():
    layer = MLP([5, 2], input_dim=4, normalization="batch")
    assert layer.built
    shapes = [tuple(weight.shape) for weight in layer.trainable_weights]
    assert sorted(shapes) == [(2,), (4, 5), (5,), (5,), (5,), (5, 2)]
    before = layer.get_weights()
    layer(VECTORS)
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))
    late = MLP([5, 2], normalization="batch")
    assert not late.weights
    late(VECTORS)
    assert [tuple(w.shape) for w in late.trainable_weights] == shapes


def test_training_reaches_the_sublayers():
    def zeros(**arguments):
        layer = MLP([50, 50], None, dropout=0.4, seed=1, **arguments)
        layer.build((None, 1))
        for dense in layer.dense_layers:
            dense.kernel.assign(np.eye(*dense.kernel.shape) if dense.kernel.shape[0] > 1
                                else np.ones((1, 50)))  # fmt: skip
        return layer

    layer, ones = zeros(), np.ones((200, 1), "float32")
    assert np.array_equal(layer(ones), np.ones((200, 50)))
    outputs = layer(ones, training=True).numpy()
    dropped = (outputs == 0).mean()
    assert abs(dropped - 0.4) < 5 * np.sqrt(0.4 * 0.6 / outputs.size)
    np.testing.assert_allclose(outputs[outputs != 0], 1 / 0.6, rtol=1e-5)
    assert not np.array_equal(layer(ones, training=True), outputs)
    assert np.array_equal(zeros()(ones, training=True), outputs)
    traced = zeros()
    in_graph = tf.function(lambda: traced(ones, training=True))
    assert np.array_equal(in_graph(), outputs)


def test_batch_statistics_move_in_training_alone():
    layer = drawn(MLP([3, 1], normalization="batch"), 4)
    (norm,) = layer.normalization_layers
    before = numbers(norm.moving_mean)
    layer(VECTORS)
    assert np.array_equal(numbers(norm.moving_mean), before)
    layer(VECTORS, training=True)
    assert not np.allclose(numbers(norm.moving_mean), before)
    moved = numbers(norm.moving_mean)
    layer.trainable = False
    layer(VECTORS, training=True)
    assert np.array_equal(numbers(norm.moving_mean), moved)


@pytest.mark.parametrize(("policy", "digits"), [("mixed_float16", 1e-2), ("mixed_bfloat16", 8e-2)])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_half_precision(policy, digits, normalization):
    layer = drawn(MLP([4, 4, 2], normalization=normalization, residual=True, dtype=policy), 4)
    outputs = layer(VECTORS)
    assert outputs.dtype == layer.compute_dtype
    assert {weight.dtype for weight in map(numbers, layer.weights)} == {np.dtype("float64")}
    assert all("float32" in str(weight.dtype) for weight in layer.trainable_weights)
    expected = expected_of(layer, VECTORS)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(tf.cast(outputs, tf.float64), expected, atol=digits * scale)


def test_masks_are_passed_on():
    sequence = keras.Input((None, 3))
    layer = drawn(MLP([4, 2], normalization="batch", residual=True), 3)
    x = layer(keras.layers.Masking(mask_value=-9.0)(sequence))
    cut = np.where(MASK[..., np.newaxis], STEPS, np.float32(-9.0))
    outputs = keras.Model(sequence, MaskedPooling1D("max")(x))(cut)
    expected = oracles.pooled(expected_of(layer, STEPS), MASK, "max")
    np.testing.assert_allclose(outputs, expected, **CLOSE)


@pytest.mark.parametrize("input_dim", [None, 4])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_a_model_with_it_trains_and_comes_back(input_dim, normalization, tmp_path):
    def run(run_eagerly):
        keras.utils.set_random_seed(0)
        layer = MLP([4, 4, 1], input_dim=input_dim, normalization=normalization, residual=True)
        model = keras.Sequential([keras.Input((4,)), layer])
        model.compile(keras.optimizers.SGD(0.05), "mse", run_eagerly=run_eagerly)
        fit = model.fit(VECTORS, VECTORS[:, :1], batch_size=6, epochs=4, shuffle=False, verbose=0)
        return model, fit.history["loss"]

    (model, losses), (eager, eager_losses) = run(False), run(True)
    np.testing.assert_allclose(losses, eager_losses, rtol=1e-5)
    np.testing.assert_allclose(model(VECTORS), eager(VECTORS), **CLOSE)
    assert losses[3] < losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(VECTORS), model(VECTORS), rtol=1e-6)
    again.fit(VECTORS, VECTORS[:, :1], verbose=0)
