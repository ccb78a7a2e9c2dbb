"""ActivationMonitor: its four metrics in `fit`, recomputed in NumPy; masks, replicas, files."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers.cases import MASK, STEPS
from tfk_patterns.layers import ActivationMonitor, MaskedPooling1D

CLOSE = {"rtol": 1e-5, "atol": 1e-6}  # float32 sums of tens of terms
_DRAWS = np.random.default_rng(6)
# About half zeros; unit 1 is dead, unit 3 lives in one sample alone.
ACTIVATIONS = np.maximum(_DRAWS.normal(size=(11, 4)), 0).astype("float32")
ACTIVATIONS[:, 1] = 0
ACTIVATIONS[:, 3] = np.where(np.arange(11) == 5, -2.0, 0.0)
SEQUENCES = np.maximum(STEPS, 0)
SEQUENCES[..., 2] = np.where(MASK, 0.0, 5.0)  # dead where it counts


def expected_of(activations, mask=None):
    rows = activations[mask] if mask is not None else activations
    rows = rows.reshape(-1, activations.shape[-1]).astype("float64")
    return {
        "mean": rows.mean(),
        "std": rows.std(),
        "zero_fraction": (rows == 0).mean(),
        "dead_units": (rows == 0).all(axis=0).sum(),
    }


def results(layer):
    """What the metrics of a layer stand at."""
    return {metric.name: [float(metric.result())] for metric in layer.metrics}


def assert_logged(logs, prefix, expected):
    for name, value in expected.items():
        actual = logs[prefix + name]
        np.testing.assert_allclose(actual, np.full(len(actual), value), **CLOSE, err_msg=name)


def monitored(shape, **arguments):
    """A model that learns nothing, and so shows the monitor the data themselves."""
    inputs = x = keras.Input(shape)
    if len(shape) == 2:
        x = keras.layers.Masking(mask_value=-9.0)(x)
    x = ActivationMonitor(name="monitor", **arguments)(x)
    if len(shape) == 2:
        x = MaskedPooling1D("sum")(x)
    return keras.Model(inputs, keras.layers.Dense(1, dtype="float32")(x))


def batches(inputs, size=4):
    targets = np.zeros((len(inputs), 1), "float32")
    return tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(size)


def history(model, inputs, validation=None, size=4, **compiling):
    model.compile(keras.optimizers.SGD(0.0), "mse", **compiling)
    validation = None if validation is None else batches(validation)
    return model.fit(
        batches(inputs, size), epochs=2, validation_data=validation, shuffle=False, verbose=0
    ).history


@pytest.mark.parametrize("training", [False, True])
def test_it_passes_input_and_mask_on(training):
    layer = ActivationMonitor()
    assert np.array_equal(layer(STEPS, mask=MASK, training=training), STEPS)
    assert np.array_equal(layer.compute_mask(STEPS, MASK), MASK)
    assert layer.compute_mask(STEPS, None) is None
    assert not layer.trainable_weights
    inputs = tf.constant(STEPS)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(layer(inputs, mask=MASK, training=training) * STEPS)
    assert np.array_equal(tape.gradient(loss, inputs), STEPS)


@pytest.mark.parametrize(
    "mode", [{}, {"run_eagerly": True}, {"jit_compile": True}], ids=["graph", "eager", "xla"]
)
def test_fit_logs_the_epoch(mode):
    logs = history(monitored((4,)), ACTIVATIONS, ACTIVATIONS[:5], **mode)
    assert expected_of(ACTIVATIONS)["dead_units"] == 1
    assert expected_of(ACTIVATIONS[:5])["dead_units"] == 2
    assert_logged(logs, "monitor_", expected_of(ACTIVATIONS))
    assert_logged(logs, "val_monitor_", expected_of(ACTIVATIONS[:5]))


class Spoil(keras.layers.Layer):
    """Puts rubbish where `Masking` has put zeros, and keeps the mask."""

    def __init__(self, rubbish):
        super().__init__()
        self.rubbish = rubbish
        self.supports_masking = True

    def call(self, inputs):
        padding = tf.reduce_all(inputs == 0, axis=-1, keepdims=True)
        return tf.where(padding, tf.constant(self.rubbish, inputs.dtype), inputs)


@pytest.mark.parametrize("rubbish", [1e30, np.nan])
def test_masked_positions_are_left_out(rubbish):
    inputs = keras.Input((None, 3))
    x = Spoil(rubbish)(keras.layers.Masking(mask_value=-9.0)(inputs))
    x = MaskedPooling1D("sum")(ActivationMonitor(name="monitor")(x))
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    lively = np.abs(STEPS) * [1, 0, 1] + [0, 0, 1]
    logs = history(model, np.where(MASK[..., np.newaxis], lively, -9.0).astype("float32"))
    assert_logged(logs, "monitor_", expected_of(lively, MASK))


def test_a_unit_that_lives_in_the_padding_alone_is_dead():
    layer = ActivationMonitor(name="monitor")
    layer(SEQUENCES, mask=MASK, training=True)
    expected = expected_of(SEQUENCES, MASK)
    assert expected["dead_units"] == 1
    assert_logged(results(layer), "monitor_", expected)


def test_images_have_their_units_on_the_last_axis():
    images = ACTIVATIONS[:8].reshape(2, 2, 2, 4)
    layer = ActivationMonitor(name="monitor")
    for image in images:
        layer(image[np.newaxis], training=True)
    assert_logged(results(layer), "monitor_", expected_of(images))


# The last batch: 2 and 1, 1 and none.
@pytest.mark.parametrize("samples", [pytest.param(11, marks=pytest.mark.slow), 9])
def test_two_replicas(samples, two_replicas):
    """Unit 3 is dead on one of the replicas."""
    with two_replicas.scope():
        logs = history(monitored((4,)), ACTIVATIONS[:samples], ACTIVATIONS[:5])
    assert_logged(logs, "monitor_", expected_of(ACTIVATIONS[:samples]))
    assert_logged(logs, "val_monitor_", expected_of(ACTIVATIONS[:5]))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_counts_on(policy):
    """In float16, 4,096 ones add up to 2,048."""
    ones = np.ones((4096, 4), "float32")
    ones[::4, 2] = 0
    logs = history(monitored((4,), dtype=policy), ones, size=1000)
    assert_logged(logs, "monitor_", expected_of(ones))


def test_a_saved_model_monitors_on(tmp_path):
    model = monitored((4,))
    history(model, ACTIVATIONS)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(again(ACTIVATIONS), model(ACTIVATIONS))
    logs = again.fit(batches(ACTIVATIONS[:5]), epochs=2, verbose=0).history
    assert_logged(logs, "monitor_", expected_of(ACTIVATIONS[:5]))
