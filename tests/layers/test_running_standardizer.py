"""RunningStandardizer against the oracle: exact statistics of an epoch, momentum, replicas."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers import oracles
from tests.layers.cases import IMAGES, MASK, STEPS, VECTORS
from tfk_patterns.layers import RunningStandardizer

CLOSE = {"rtol": 1e-5, "atol": 1e-5}  # float32, standardised to about 1
EXACT = {"rtol": 1e-9, "atol": 1e-12}  # what the docstring promises of the statistics
OFFSET = (1e6 + np.random.default_rng(3).normal(size=(11, 4))).astype("float32")
NEAR = OFFSET - np.float32(1e6)


def state(layer):
    """Count, mean and variance."""
    weights = (layer.count, layer.mean, layer.variance)
    return [tf.convert_to_tensor(weight).numpy() for weight in weights]


def assert_statistics(layer, inputs, mask=None, axis=-1):
    _, mean, variance = state(layer)
    _, expected_mean, expected_variance = oracles.standardizer_statistics(inputs, mask, axis)
    np.testing.assert_allclose(mean.ravel(), expected_mean.ravel(), **EXACT)
    np.testing.assert_allclose(variance.ravel(), expected_variance.ravel(), **EXACT)


def test_before_any_data_it_passes_its_input():
    layer = RunningStandardizer()
    np.testing.assert_allclose(layer(VECTORS), VECTORS, **CLOSE)
    count, mean, variance = state(layer)
    assert (count.dtype, count.shape, int(count)) == (np.int64, (), 0)
    assert mean.dtype == variance.dtype == np.float64
    assert not mean.any()
    assert (variance == 1).all()
    assert not layer.trainable_weights


@pytest.mark.parametrize("inputs", [VECTORS, OFFSET], ids=["plain", "offset"])
@pytest.mark.parametrize("sizes", [[1] * 11, [4, 4, 3], [3, 0, 8], [11], [1, 10], [10, 1]], ids=str)
def test_an_epoch_in_any_order_and_batching_is_exact(inputs, sizes):
    ends = list(itertools.accumulate(sizes))
    for order in (np.arange(len(inputs)), np.random.default_rng(5).permutation(len(inputs))):
        layer = RunningStandardizer()
        for batch in np.split(inputs[order], ends):
            layer(tf.constant(batch), training=True)
        assert_statistics(layer, inputs)
        assert state(layer)[0] == len(inputs)


@pytest.mark.parametrize("axis", [-1, 1, 3, (1, 3), (-1, 2), (1, 2, 3), None], ids=str)
def test_axes(axis):
    layer = RunningStandardizer(axis=axis)
    for batch in (IMAGES[:1], IMAGES[1:], IMAGES * 3):
        outputs = layer(batch, training=True)
    seen = np.concatenate([IMAGES, IMAGES * 3])
    assert_statistics(layer, seen, axis=axis)
    theirs = keras.layers.Normalization(axis=axis)
    theirs.adapt(seen)
    np.testing.assert_allclose(outputs, theirs(IMAGES * 3), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer(IMAGES), theirs(IMAGES), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("axis", [-1, None], ids=str)
def test_masked_positions_are_left_out(axis):
    layer = RunningStandardizer(axis=axis)
    dirty = np.where(MASK[..., np.newaxis], STEPS, np.float32(np.nan))
    for rows in ([2, 3], [3], [0], [1]):  # one batch without a valid position
        layer(dirty[rows], mask=MASK[rows], training=True)
    assert_statistics(layer, STEPS, MASK, axis)
    if axis == -1:
        assert state(layer)[0] == MASK.sum()
    _, mean, variance = oracles.standardizer_statistics(STEPS, MASK, axis)
    outputs = layer(dirty, mask=MASK).numpy()
    expected = (STEPS - mean) / np.sqrt(variance)
    np.testing.assert_allclose(outputs[MASK], expected[MASK], **CLOSE)


def test_a_training_call_counts_its_batch_before_it_standardizes():
    layer = RunningStandardizer()
    outputs = layer(VECTORS, training=True)
    _, mean, variance = oracles.standardizer_statistics(VECTORS, None, -1)
    np.testing.assert_allclose(outputs, (VECTORS - mean) / np.sqrt(variance), **CLOSE)
    before = state(layer)
    np.testing.assert_allclose(layer(VECTORS, training=False), outputs, **CLOSE)
    assert all(np.array_equal(a, b) for a, b in zip(before, state(layer), strict=True))


@pytest.mark.parametrize("training", [True, False])
def test_a_large_offset_leaves_the_outputs_their_digits(training):
    """The float64 mean is no float32: rounded to one, it moves all outputs by 0.02 here."""
    layer = RunningStandardizer()
    layer(OFFSET, training=True)
    _, mean, variance = oracles.standardizer_statistics(OFFSET, None, -1)
    outputs = layer(OFFSET, training=training)
    np.testing.assert_allclose(outputs, (OFFSET - mean) / np.sqrt(variance), **CLOSE)


def test_a_constant_feature_gives_zeros():
    layer = RunningStandardizer()
    outputs = layer(np.full((5, 2), 0.1, "float32"), training=True)
    assert np.array_equal(outputs, np.zeros((5, 2)))
    np.testing.assert_allclose(layer(np.full((1, 2), 0.1 + 1e-6, "float32")), 10.0, rtol=0.1)


@pytest.mark.parametrize("when", ["constructor", "after_build"])
def test_a_frozen_layer_counts_nothing(when):
    layer = RunningStandardizer(trainable=when != "constructor")
    layer.build((None, 4))
    layer.trainable = False
    np.testing.assert_allclose(layer(VECTORS, training=True), VECTORS, **CLOSE)
    assert state(layer)[0] == 0


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("mask", [None, MASK], ids=["unmasked", "masked"])
def test_momentum(momentum, mask):
    layer, expected = RunningStandardizer(momentum=momentum), (0, 0.0, 1.0)
    for rows in ([0], [1, 2], [], [0, 1, 2, 3], [1]):
        part = None if mask is None else mask[rows]
        layer(STEPS[rows], mask=part, training=True)
        if rows:
            batch = oracles.standardizer_statistics(STEPS[rows], part, -1)
            expected = oracles.running_update(expected, batch, momentum)
        for actual, value in zip(state(layer), expected, strict=True):
            np.testing.assert_allclose(actual, np.broadcast_to(value, actual.shape), **EXACT)


@pytest.mark.parametrize("training", [True, False])
def test_no_gradient_goes_through_the_statistics(training):
    layer, inputs = RunningStandardizer(dtype="float64"), tf.constant(VECTORS, tf.float64)
    layer(inputs, training=True)
    weights = np.random.default_rng(1).normal(size=VECTORS.shape)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(layer(inputs, training=training) * weights)
    expected = weights / np.sqrt(state(layer)[2].ravel())
    np.testing.assert_allclose(tape.gradient(loss, inputs), expected, rtol=1e-12)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("in_a_model", [False, True], ids=["alone", "in_a_model"])
def test_half_precision_counts_the_unrounded_inputs(policy, in_a_model):
    """1e5 is infinite in float16."""
    large, layer = VECTORS * 1e5, RunningStandardizer(dtype=policy)
    if in_a_model:
        inputs = keras.Input((4,))
        model = keras.Model(inputs, layer(inputs))
        outputs = model(large, training=True)
    else:
        outputs = layer(large, training=True)
    assert outputs.dtype == layer.compute_dtype
    assert_statistics(layer, large)
    _, mean, variance = oracles.standardizer_statistics(large, None, -1)
    expected = (large - mean) / np.sqrt(variance)
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), expected, rtol=1e-2, atol=1e-3)


def fitted(data, run_eagerly=False, path=None):
    """A model that has seen the data once, half of it before it went through a file."""
    model = keras.Sequential([keras.Input((4,)), RunningStandardizer(), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=run_eagerly)
    half = len(data) // 2
    for part in (data[:half], data[half:]):
        model.fit(part, part[:, :1], batch_size=3, verbose=0)
        model.evaluate(part * 2, part[:, :1], verbose=0)
        model.predict(part * 3, verbose=0)
        if path:
            model.save(path)
            model = keras.models.load_model(path)
    return model


@pytest.mark.parametrize("how", ["graph", "eager", "through_a_file"])
def test_fit_counts_the_training_data_alone(how, tmp_path):
    path = tmp_path / "model.keras" if how == "through_a_file" else None
    layer = fitted(OFFSET, how == "eager", path).layers[-2]
    assert_statistics(layer, OFFSET)
    assert state(layer)[0] == len(OFFSET)


@pytest.mark.parametrize("shares", [(2, 9), (1, 1), (0, 5)], ids=str)
@pytest.mark.parametrize("momentum", [None, 0.9])
def test_replicas_count_the_global_batch(shares, momentum, two_replicas):
    with two_replicas.scope():
        layer = RunningStandardizer(momentum=momentum)
        layer.build((None, 4))
    parts = [NEAR[: shares[0]], NEAR[shares[0] : sum(shares)]]
    values = two_replicas.experimental_distribute_values_from_function(
        lambda context: tf.constant(parts[context.replica_id_in_sync_group])
    )
    run = tf.function(lambda share: two_replicas.run(lambda x: layer(x, training=True), (share,)))
    results = two_replicas.experimental_local_results(run(values))
    together = np.concatenate(parts)
    count, mean, variance = oracles.standardizer_statistics(together, None, -1)
    assert_statistics(layer, together)
    assert state(layer)[0] == count
    outputs = np.concatenate([result.numpy() for result in results])
    expected = (together - mean) / np.maximum(np.sqrt(variance), 1e-7)
    np.testing.assert_allclose(outputs, expected, **CLOSE)


def test_replicas_count_their_valid_positions(two_replicas):
    with two_replicas.scope():
        layer = RunningStandardizer()
        layer.build((None, None, 3))
    dirty = np.where(MASK[..., np.newaxis], STEPS, np.float32(np.nan))
    for rows in (slice(0, 2), slice(2, 4)):  # row 3 is fully masked
        shares = two_replicas.experimental_distribute_values_from_function(
            lambda context, rows=rows: (
                tf.constant(dirty[rows][context.replica_id_in_sync_group :][:1]),
                tf.constant(MASK[rows][context.replica_id_in_sync_group :][:1]),
            )
        )
        two_replicas.run(
            tf.function(lambda x, mask: layer(x, mask=mask, training=True)), args=shares
        )
    assert_statistics(layer, STEPS, MASK)
    assert state(layer)[0] == MASK.sum()


def test_fit_under_two_replicas_is_exact(two_replicas):
    """Batches of 4 from 11: the last one is 2 and 1."""
    with two_replicas.scope():
        model = keras.Sequential([keras.Input((4,)), RunningStandardizer(), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    data = tf.data.Dataset.from_tensor_slices((OFFSET, OFFSET[:, :1])).batch(4)
    model.fit(data, verbose=0)
    assert_statistics(model.layers[-2], OFFSET)
