"""GaussianSampling against the oracle: KL, free bits, warm-up, masks, draws, replicas."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers import oracles
from tests.layers.cases import IMAGES, MASK, STEPS, VECTORS
from tfk_patterns.layers import GaussianSampling, MaskedPooling1D

CLOSE = {"rtol": 1e-5, "atol": 1e-6}  # float32 sums of tens of terms
# mean, log variance, mask
INPUTS = {
    "vectors": (VECTORS, VECTORS[::-1] * 0.7, None),
    "steps": (STEPS, STEPS[::-1] * 0.7, None),
    "masked": (STEPS, STEPS[::-1] * 0.7, MASK),
    "images": (IMAGES, IMAGES[::-1] * 0.7, MASK[:2, :4]),
}
each_input = pytest.mark.parametrize(
    ("mean", "log_variance", "mask"), INPUTS.values(), ids=INPUTS.keys()
)
each_mode = pytest.mark.parametrize("run_eagerly", [False, True])


def loss_of(layer, mean, log_variance, mask=None, training=False):
    masks = None if mask is None else [mask, mask]
    layer([tf.constant(mean), tf.constant(log_variance)], mask=masks, training=training)
    (loss,) = layer.losses
    return loss


@each_input
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("free_bits", [0.0, 0.6, 3.0])
def test_the_loss(mean, log_variance, mask, training, free_bits):
    layer = GaussianSampling(kl_weight=0.7, free_bits=free_bits)
    loss = loss_of(layer, mean, log_variance, mask, training)
    assert loss.dtype == tf.float32
    assert loss.shape == ()
    expected = 0.7 * oracles.kl_loss(mean, log_variance, mask, free_bits)
    np.testing.assert_allclose(loss, expected, **CLOSE)


def test_the_loss_is_that_of_the_paper():
    """Kingma and Welling, appendix B: -1/2 sum (1 + log s^2 - m^2 - s^2)."""
    loss = loss_of(GaussianSampling(), [[1.0, 0.0]], [[np.log(4.0), 0.0]])
    np.testing.assert_allclose(loss, -0.5 * (1 + np.log(4.0) - 1 - 4), rtol=1e-6)


@each_input
@pytest.mark.parametrize("free_bits", [0.0, 0.6])
def test_gradients_of_the_loss(mean, log_variance, mask, free_bits):
    layer = GaussianSampling(free_bits=free_bits, dtype="float64")
    tensors = [tf.constant(mean, tf.float64), tf.constant(log_variance, tf.float64)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        layer(tensors, mask=None if mask is None else [mask, mask], training=True)
        (loss,) = layer.losses
    of_mean, of_log_variance = tape.gradient(loss, tensors)
    close = {"rtol": 1e-5, "atol": 1e-8}
    expected = oracles.numeric_gradient(
        lambda x: oracles.kl_loss(x, log_variance, mask, free_bits), mean
    )
    np.testing.assert_allclose(of_mean, expected, **close)
    expected = oracles.numeric_gradient(
        lambda x: oracles.kl_loss(mean, x, mask, free_bits), log_variance
    )
    np.testing.assert_allclose(of_log_variance, expected, **close)


def test_the_draws_carry_gradients():
    layer = GaussianSampling(dtype="float64")
    tensors = [tf.constant(VECTORS, tf.float64), tf.constant(VECTORS[::-1] * 0.7, tf.float64)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs = layer(tensors, training=True)
        total = tf.reduce_sum(outputs)
    of_mean, of_log_variance = tape.gradient(total, tensors)
    np.testing.assert_allclose(of_mean, np.ones_like(VECTORS))
    np.testing.assert_allclose(of_log_variance, (outputs - tensors[0]) / 2, rtol=1e-10)


@each_input
def test_inference_returns_the_mean(mean, log_variance, mask):
    layer = GaussianSampling()
    assert np.array_equal(layer([mean, log_variance]), mean)
    assert np.array_equal(layer([mean, log_variance], training=False), mean)


@pytest.mark.parametrize(("mean", "deviation"), [(1.5, 2.0), (-3.0, 0.01), (0.0, 1.0)])
def test_training_draws_from_the_distribution(mean, deviation):
    n, shape = 40_000, (200, 50, 4)
    inputs = [tf.fill(shape, mean), tf.fill(shape, float(2 * np.log(deviation)))]
    draws = GaussianSampling(seed=1)(inputs, training=True).numpy().astype("float64")
    assert abs(draws.mean() - mean) < 5 * deviation / np.sqrt(n)
    assert abs(draws.std() - deviation) < 5 * deviation / np.sqrt(2 * n)
    noise = (draws - mean) / deviation
    assert abs(np.corrcoef(noise[:, :, 0].ravel(), noise[:, :, 1].ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("xla", [False, True], ids=["graph", "xla"])
def test_every_call_draws_anew_the_same_in_every_mode(xla):
    inputs = [tf.constant(VECTORS), tf.constant(VECTORS)]
    eager, traced = GaussianSampling(seed=7), GaussianSampling(seed=7)
    traced.build([(None, 4), (None, 4)])
    compiled = tf.function(lambda: traced(inputs, training=True), jit_compile=xla)
    draws = [eager(inputs, training=True).numpy() for _ in range(4)]
    for draw in draws:
        np.testing.assert_allclose(compiled(), draw, rtol=1e-6, atol=1e-6)
    assert len({draw.tobytes() for draw in draws}) == 4
    other = GaussianSampling(seed=8)(inputs, training=True)
    assert not np.allclose(other, draws[0])


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("log_variance", [-50.0, 50.0])
def test_extreme_variances_stay_finite(policy, log_variance):
    layer, tensors = (
        GaussianSampling(dtype=policy),
        [tf.ones((3, 2)), tf.fill((3, 2), log_variance)],
    )
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs = layer(tensors, training=True)
        (loss,) = layer.losses
        total = loss + tf.reduce_sum(tf.cast(outputs, tf.float32))
    np.testing.assert_allclose(loss, oracles.kl_loss(*tensors, None), rtol=1e-5)
    assert np.isfinite(tf.cast(outputs, tf.float32)).all()
    assert np.isfinite(tape.gradient(total, tensors)).all()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_adds_up_in_float32(policy):
    """64 samples of a KL near 0.01: in bfloat16, exp(x) - 1 - x has two digits there."""
    half = policy.removeprefix("mixed_")
    log_variance = tf.cast(np.random.default_rng(0).normal(size=(64, 100)) * 0.2, half)
    mean, layer = tf.zeros_like(log_variance), GaussianSampling(dtype=policy)
    outputs = layer([mean, log_variance])
    assert outputs.dtype == layer.compute_dtype
    expected = oracles.kl_loss(mean, tf.cast(log_variance, tf.float64), None)
    np.testing.assert_allclose(layer.losses[0], expected, rtol=1e-4)


@pytest.mark.parametrize("rubbish", [1e30, np.inf, np.nan])
def test_what_stands_in_the_padding_does_not_matter(rubbish):
    mean, log_variance, mask = INPUTS["masked"]
    layer, keep = GaussianSampling(free_bits=0.6), mask[..., np.newaxis]
    dirty = [tf.constant(np.where(keep, x, np.float32(rubbish))) for x in (mean, log_variance)]
    with tf.GradientTape() as tape:
        tape.watch(dirty)
        layer(dirty, mask=[mask, mask])
        (loss,) = layer.losses
    np.testing.assert_allclose(loss, oracles.kl_loss(mean, log_variance, mask, 0.6), **CLOSE)
    for gradient in tape.gradient(loss, dirty):
        assert np.isfinite(gradient).all()
        assert not gradient.numpy()[~mask].any()


def test_more_padding_changes_nothing():
    mean, log_variance, mask = INPUTS["masked"]
    longer = [np.pad(x, ((0, 0), (0, 3), (0, 0)), constant_values=7) for x in (mean, log_variance)]
    loss = loss_of(GaussianSampling(free_bits=0.6), *longer, np.pad(mask, ((0, 0), (0, 3))))
    np.testing.assert_allclose(loss, oracles.kl_loss(mean, log_variance, mask, 0.6), **CLOSE)


@pytest.mark.parametrize("mask", [None, MASK[:0]], ids=["unmasked", "masked"])
def test_an_empty_batch_adds_zero(mask):
    layer = GaussianSampling()
    assert float(loss_of(layer, STEPS[:0], STEPS[:0], mask, training=True)) == 0.0
    assert float(loss_of(layer, STEPS, STEPS, np.zeros_like(MASK))) == 0.0


def test_the_masks_of_upstream_layers_arrive_and_are_passed_on():
    inputs = [keras.Input((None, 3)), keras.Input((None, 3))]
    layer = GaussianSampling()
    x = MaskedPooling1D("sum")(layer([keras.layers.Masking(mask_value=-9.0)(x) for x in inputs]))
    model = keras.Model(inputs, x)
    mean, log_variance, mask = INPUTS["masked"]
    cut = [np.where(mask[..., np.newaxis], x, np.float32(-9.0)) for x in (mean, log_variance)]
    np.testing.assert_allclose(model(cut), oracles.pooled(mean, mask, "sum"), **CLOSE)
    np.testing.assert_allclose(model.losses[0], oracles.kl_loss(mean, log_variance, mask), **CLOSE)


def test_the_weight_ramps_up_over_training_steps():
    layer, inputs = GaussianSampling(kl_weight=2.0, warmup_steps=4), (VECTORS, VECTORS)
    full = 2 * oracles.kl_loss(*inputs, None)
    assert float(loss_of(layer, *inputs)) == 0.0
    for step, ramp in enumerate([0.25, 0.5, 0.75, 1.0, 1.0]):
        for training in (True, False):
            loss = loss_of(layer, *inputs, training=training)
            np.testing.assert_allclose(loss, ramp * full, **CLOSE, err_msg=str(step))


def sampling_model(**arguments):
    """Its other loss is 0."""
    inputs = [keras.Input((4,)), keras.Input((4,))]
    x = GaussianSampling(name="sampling", **arguments)(inputs)
    return keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="zeros")(x))


def batches(size, samples=10):
    twice = np.concatenate([VECTORS] * 2)
    mean, log_variance = twice[:samples], twice[2 : samples + 2]
    targets = np.zeros((samples, 1), "float32")
    data = tf.data.Dataset.from_tensor_slices(((mean, log_variance), targets)).batch(size)
    return data, mean, log_variance


@each_mode
def test_fit_logs_the_kl_and_ramps(run_eagerly):
    model = sampling_model(kl_weight=0.5, free_bits=0.6, warmup_steps=4)
    model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=run_eagerly)
    data, mean, log_variance = batches(5)
    logs = model.fit(data, epochs=3, validation_data=data, shuffle=False, verbose=0).history
    kl = oracles.kl_loss(mean, log_variance, None)
    np.testing.assert_allclose(logs["sampling_kl"], [kl] * 3, **CLOSE)
    np.testing.assert_allclose(logs["val_sampling_kl"], [kl] * 3, **CLOSE)
    one, two = (
        0.5 * oracles.kl_loss(mean[part], log_variance[part], None, 0.6)
        for part in (slice(5), slice(5, 10))
    )
    expected = [(one / 4 + two / 2) / 2, (one * 0.75 + two) / 2, (one + two) / 2]
    np.testing.assert_allclose(logs["loss"], expected, **CLOSE)
    np.testing.assert_allclose(logs["val_loss"], [expected[2] / 2, *expected[2:] * 2], **CLOSE)


@pytest.mark.parametrize("size", [3, 4])
def test_the_kl_of_uneven_batches_is_that_of_all_samples(size):
    model = sampling_model(free_bits=0.6)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    data, mean, log_variance = batches(size)
    logs = model.fit(data, epochs=2, shuffle=False, verbose=0).history
    expected = oracles.kl_loss(mean, log_variance, None)
    np.testing.assert_allclose(logs["sampling_kl"], [expected] * 2, **CLOSE)


def test_a_saved_model_goes_on_drawing_and_ramping(tmp_path):
    model = sampling_model(warmup_steps=8, seed=3)
    model.compile("sgd", "mse")
    data, mean, log_variance = batches(5)
    model.fit(data, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    layer, loaded = model.get_layer("sampling"), again.get_layer("sampling")
    for _ in range(2):
        one, two = (x([mean, log_variance], training=True) for x in (layer, loaded))
        assert np.array_equal(one, two)
    np.testing.assert_allclose(
        loss_of(loaded, mean, log_variance),
        6 / 8 * oracles.kl_loss(mean, log_variance, None),
        **CLOSE,
    )


@pytest.mark.parametrize("first", [3, 2])
def test_two_replicas_add_what_one_device_adds(first, two_replicas):
    """Free bits hold for the mean over the global batch, and so do its gradients."""
    mean, log_variance, _ = INPUTS["vectors"]
    with two_replicas.scope():
        layer = GaussianSampling(free_bits=0.6, seed=1)
        layer.build([(None, 4), (None, 4)])

    @tf.function
    def step(m, v):
        with tf.GradientTape() as tape:
            tape.watch([m, v])
            outputs = layer([m, v], training=True)
            loss = layer.losses[0] / 2.0  # as Keras scales it for two replicas
        return loss, *tape.gradient(loss, [m, v]), outputs - m

    shares = [
        two_replicas.experimental_distribute_values_from_function(
            lambda context, x=x: tf.constant(np.split(x, [first])[context.replica_id_in_sync_group])
        )
        for x in (mean, log_variance)
    ]
    results = two_replicas.run(step, args=shares)
    losses, of_mean, of_log_variance, noise = map(two_replicas.experimental_local_results, results)
    expected = oracles.kl_loss(mean, log_variance, None, 0.6)
    np.testing.assert_allclose(sum(float(loss) for loss in losses), expected, **CLOSE)
    close = {"rtol": 1e-4, "atol": 1e-6}
    expected = oracles.numeric_gradient(lambda x: oracles.kl_loss(x, log_variance, None, 0.6), mean)
    np.testing.assert_allclose(np.concatenate(of_mean), expected, **close)
    expected = oracles.numeric_gradient(lambda x: oracles.kl_loss(mean, x, None, 0.6), log_variance)
    np.testing.assert_allclose(np.concatenate(of_log_variance), expected, **close)
    assert not np.allclose(noise[0][:2], noise[1][:2])


@pytest.mark.parametrize("size", [6, 4])  # the last batch: 2 and 1, 1 and none
def test_two_replicas_log_the_kl_of_all_samples(size, two_replicas):
    with two_replicas.scope():
        model = sampling_model(free_bits=0.6, warmup_steps=8)
        model.compile(keras.optimizers.SGD(0.0), "mse")
    data, mean, log_variance = batches(size, samples=9)
    logs = model.fit(data, epochs=2, shuffle=False, verbose=0).history
    expected = oracles.kl_loss(mean, log_variance, None)
    np.testing.assert_allclose(logs["sampling_kl"], [expected] * 2, **CLOSE)
