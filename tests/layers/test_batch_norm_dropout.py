"""BatchNormDropout against the oracle and against Keras: statistics, freezing, dropout."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers import oracles
from tests.layers.cases import IMAGES, MASK, STEPS, VECTORS
from tfk_patterns.layers import BatchNormDropout

CLOSE = {"rtol": 1e-5, "atol": 1e-5}  # float32, normalised to about 1


def no_dropout(**arguments):
    return BatchNormDropout(**{"activation": None, "rate": 0.0, **arguments})


def statistics(layer):
    return [tf.convert_to_tensor(v).numpy() for v in (layer.moving_mean, layer.moving_variance)]


@pytest.mark.parametrize(
    ("inputs", "mask"),
    [(VECTORS, None), (STEPS, None), (STEPS, MASK), (IMAGES, None), (IMAGES, MASK[:2, :4])],
    ids=["vectors", "steps", "steps_masked", "images", "images_masked"],
)
def test_training_uses_the_statistics_of_the_valid_positions(inputs, mask):
    layer = no_dropout(momentum=0.9, epsilon=0.01)
    rows = oracles.valid_rows(inputs, mask)
    mean, variance = rows.mean(axis=0), rows.var(axis=0)
    outputs = layer(inputs, mask=mask, training=True)
    expected = oracles.batch_norm(inputs, mean, variance, 1.0, 0.0, 0.01)
    np.testing.assert_allclose(outputs, expected, **CLOSE)
    moving_mean, moving_variance = statistics(layer)
    np.testing.assert_allclose(moving_mean, 0.1 * mean, **CLOSE)
    np.testing.assert_allclose(moving_variance, 0.9 + 0.1 * variance, **CLOSE)


def test_inference_uses_the_moving_statistics_and_writes_nothing():
    layer = BatchNormDropout("relu", seed=1)
    layer(STEPS, training=True)
    before = layer.get_weights()
    mean, variance = statistics(layer)
    outputs = layer(STEPS, training=False)
    expected = np.maximum(oracles.batch_norm(STEPS, mean, variance, 1.0, 0.0, 1e-3), 0.0)
    np.testing.assert_allclose(outputs, expected, **CLOSE)
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))


@pytest.mark.parametrize("mask", [None, MASK], ids=["unmasked", "masked"])
def test_gradients(mask):
    layer, inputs = no_dropout(dtype="float64"), tf.constant(STEPS, tf.float64)
    weights = np.random.default_rng(1).normal(size=STEPS.shape)

    def oracle(x):
        rows = oracles.valid_rows(x, mask)
        mean, variance = rows.mean(axis=0), rows.var(axis=0)
        return (oracles.batch_norm(x, mean, variance, 1.0, 0.0, 1e-3) * weights).sum()

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(layer(inputs, mask=mask, training=True) * weights)
    expected = oracles.numeric_gradient(oracle, STEPS)
    np.testing.assert_allclose(tape.gradient(loss, inputs), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("inputs", [VECTORS, STEPS], ids=["vectors", "steps"])
def test_it_equals_batch_normalization_of_keras(inputs):
    """Rank 2 and 3: for rank 4, Keras 2 takes another variance, Bessel's, for the moving one."""
    ours, theirs = no_dropout(momentum=0.7), keras.layers.BatchNormalization(momentum=0.7)
    for training in (True, True, False):
        np.testing.assert_allclose(
            ours(inputs, training=training), theirs(inputs, training=training), **CLOSE
        )
    for name in ("moving_mean", "moving_variance", "gamma", "beta"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        np.testing.assert_allclose(tf.convert_to_tensor(mine), tf.convert_to_tensor(other), **CLOSE)


@pytest.mark.parametrize("empty", ["no_samples", "all_masked"])
def test_a_batch_without_a_valid_step_leaves_the_statistics(empty):
    layer = no_dropout(momentum=0.5)
    layer(STEPS, training=True)
    before = statistics(layer)
    if empty == "no_samples":
        outputs = layer(STEPS[:0], training=True)
        assert outputs.shape == (0, 5, 3)
    else:
        outputs = layer(STEPS, mask=np.zeros_like(MASK), training=True)
        assert np.isfinite(outputs).all()
    assert all(np.array_equal(a, b) for a, b in zip(before, statistics(layer), strict=True))


@pytest.mark.parametrize("when", ["constructor", "before_build", "after_build"])
def test_a_frozen_layer_uses_and_keeps_the_moving_statistics(when):
    layer = no_dropout(trainable=when != "constructor")
    if when == "before_build":
        layer.trainable = False
    layer.build((None, 3))
    if when == "after_build":
        layer.trainable = False
    outputs = layer(STEPS, training=True)
    np.testing.assert_allclose(outputs, STEPS / np.sqrt(1 + 1e-3), **CLOSE)
    assert not layer.trainable_weights
    assert np.array_equal(statistics(layer)[0], np.zeros(3))


def test_dropout_drops_its_fraction_and_keeps_the_mean():
    layer, inputs = BatchNormDropout(None, rate=0.3, trainable=False, seed=0), np.ones((200, 500))
    outputs = layer(inputs, training=True).numpy()
    dropped = (outputs == 0).mean()
    assert abs(dropped - 0.3) < 5 * np.sqrt(0.3 * 0.7 / inputs.size)
    kept = outputs[outputs != 0]
    np.testing.assert_allclose(kept, 1 / np.sqrt(1 + 1e-3) / 0.7, **CLOSE)


def dropped_by(call, calls=4):
    return [np.asarray(call()) == 0 for _ in range(calls)]


def frozen(**arguments):
    """Dropout alone: the normalisation does nothing that moves."""
    return BatchNormDropout(None, rate=0.5, trainable=False, **arguments)


def test_every_call_draws_a_new_mask_the_same_in_every_mode():
    inputs = tf.ones((4, 50))
    eager = frozen(seed=7)
    in_eager = dropped_by(lambda: eager(inputs, training=True))
    for xla in (False, True):
        traced = frozen(seed=7)
        traced.build((None, 50))
        call = tf.function(functools.partial(traced, training=True), jit_compile=xla)
        assert np.array_equal(in_eager, dropped_by(lambda call=call: call(inputs)))
    assert len({mask.tobytes() for mask in in_eager}) == 4
    other = frozen(seed=8)
    assert not np.array_equal(in_eager, dropped_by(lambda: other(inputs, training=True)))


def trained(run_eagerly, seed=3):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((4,)), BatchNormDropout(seed=seed), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=run_eagerly)
    data = tf.data.Dataset.from_tensor_slices((VECTORS, VECTORS[:, :1])).batch(2)
    losses = model.fit(data, epochs=3, shuffle=False, verbose=0).history["loss"]
    return losses, model.get_weights()


def test_a_seed_reproduces_a_run_bit_for_bit_in_graph_and_eagerly():
    (losses, weights), (again, same), (eager, equal) = trained(False), trained(False), trained(True)
    assert losses == again
    assert np.allclose(losses, eager, rtol=1e-6)
    for one, two, three in zip(weights, same, equal, strict=True):
        assert np.array_equal(one, two)
        np.testing.assert_allclose(one, three, rtol=1e-6, atol=1e-7)
    assert trained(False, seed=4)[0] != losses


def test_without_a_seed_keras_utils_set_random_seed_decides():
    def masks():
        keras.utils.set_random_seed(5)
        layer = frozen()
        return dropped_by(lambda: layer(np.ones((4, 50)), training=True))

    assert np.array_equal(masks(), masks())
    first, second = frozen(), frozen()
    ones = np.ones((4, 50))
    assert not np.array_equal(first(ones, training=True), second(ones, training=True))


def test_monte_carlo_drops_in_inference_and_moves_no_statistics():
    layer = BatchNormDropout(None, rate=0.5, monte_carlo=True, seed=2)
    layer(STEPS, training=True)
    before = statistics(layer)
    model = keras.Sequential([keras.Input((5, 3)), layer])
    predictions = [model.predict(STEPS, verbose=0) for _ in range(3)]
    assert len({prediction.tobytes() for prediction in predictions}) == 3
    assert all(np.array_equal(a, b) for a, b in zip(before, statistics(layer), strict=True))
    kept = predictions[0] != 0
    expected = oracles.batch_norm(STEPS, *before, 1.0, 0.0, 1e-3) / 0.5
    np.testing.assert_allclose(predictions[0][kept], expected[kept], **CLOSE)


def in_replicas(strategy, layer, shares):
    values = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(shares[context.replica_id_in_sync_group])
    )
    run = tf.function(lambda share: strategy.run(lambda x: layer(x, training=True), (share,)))
    return [v.numpy() for v in strategy.experimental_local_results(run(values))]


def test_synchronized_statistics_are_those_of_all_replicas(two_replicas):
    shares = [STEPS[:1, :2], STEPS[1:]]  # unequal ones
    rows = np.concatenate([share.reshape(-1, 3) for share in shares]).astype("float64")
    mean, variance = rows.mean(axis=0), rows.var(axis=0)
    with two_replicas.scope():
        layer = no_dropout(synchronized=True, momentum=0.5)
        layer.build((None, None, 3))
    outputs = in_replicas(two_replicas, layer, shares)
    for share, output in zip(shares, outputs, strict=True):
        expected = oracles.batch_norm(share, mean, variance, 1.0, 0.0, 1e-3)
        np.testing.assert_allclose(output, expected, **CLOSE)
    np.testing.assert_allclose(statistics(layer)[0], 0.5 * mean, **CLOSE)
    np.testing.assert_allclose(statistics(layer)[1], 0.5 + 0.5 * variance, **CLOSE)


def test_without_synchronization_the_moving_statistics_are_the_mean_over_replicas(two_replicas):
    with two_replicas.scope():
        layer = no_dropout(momentum=0.5)
        layer.build((None, 3))
    shares = [STEPS[0], STEPS[1]]
    in_replicas(two_replicas, layer, shares)
    means = [share.astype("float64").mean(axis=0) for share in shares]
    np.testing.assert_allclose(statistics(layer)[0], 0.5 * np.mean(means, axis=0), **CLOSE)


def test_replicas_draw_different_masks_and_count_a_step_once(two_replicas):
    with two_replicas.scope():
        layer = frozen(seed=1)
        layer.build((None, 50))
    first, second = in_replicas(two_replicas, layer, [np.ones((4, 50), "float32")] * 2)
    assert not np.array_equal(first, second)
    assert tf.convert_to_tensor(layer.random_state).numpy().tolist() == [1, 1]
