"""PredictionEndpoint: losses and metrics of models that take their targets as inputs, in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers.cases import MASK, STEPS, VECTORS
from tfk_patterns.layers import PredictionEndpoint

CLOSE = {"rtol": 1e-5, "atol": 1e-6}  # float32 sums of tens of terms
_DRAWS = np.random.default_rng(10)
INPUTS = _DRAWS.normal(size=(11, 4)).astype("float32")
TARGETS = _DRAWS.normal(size=(11, 2)).astype("float32")
WEIGHTS = _DRAWS.uniform(0.5, 2.0, size=11).astype("float32")
STEP_TARGETS = _DRAWS.normal(size=STEPS.shape).astype("float32")
STEP_WEIGHTS = _DRAWS.uniform(0.5, 2.0, size=MASK.shape).astype("float32")


@keras.utils.register_keras_serializable("tests")
def cubic(targets, predictions):
    """A user's loss: one number a position."""
    return tf.reduce_sum(tf.abs(targets - predictions) ** 3, axis=-1)


def mse(targets, predictions):
    return ((targets - predictions) ** 2).mean(axis=-1)


def smoothed_crossentropy(targets, logits):
    smoothed = 0.8 * targets + 0.1
    return (np.log1p(np.exp(logits)) - smoothed * logits).mean(axis=-1)


# the argument, and what it is in NumPy
LOSSES = {
    "name": (lambda: "mse", mse),
    "object": (
        lambda: keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2),
        smoothed_crossentropy,
    ),
    "function": (lambda: cubic, lambda t, p: (np.abs(t - p) ** 3).sum(axis=-1)),
}
each_loss = pytest.mark.parametrize(("loss", "oracle"), LOSSES.values(), ids=LOSSES.keys())


def result_of(layer, name="loss"):
    """The value of a metric of the layer."""
    (metric,) = (m for m in layer.metrics if m.name == f"{layer.name}_{name}")
    return float(metric.result())


@each_loss
@pytest.mark.parametrize("weights", [None, STEP_WEIGHTS[:, 0], STEP_WEIGHTS],
                         ids=["unweighted", "a_sample", "a_step"])  # fmt: skip
@pytest.mark.parametrize("mask", [None, MASK], ids=["unmasked", "masked"])
def test_the_loss(loss, oracle, weights, mask):
    layer = PredictionEndpoint(loss())
    outputs = layer(
        tf.constant(STEPS), STEP_TARGETS, sample_weight=weights, mask=mask, training=True
    )
    assert np.array_equal(outputs, STEPS)
    each = oracle(STEP_TARGETS.astype("float64"), STEPS)
    weight = np.ones(MASK.shape) if weights is None else weights.reshape(4, -1) * np.ones((1, 5))
    keep = np.ones_like(MASK) if mask is None else mask
    total = (each * weight)[keep].sum()
    (added,) = layer.losses
    assert added.dtype == tf.float32
    np.testing.assert_allclose(added, total / keep.sum(), **CLOSE)
    np.testing.assert_allclose(result_of(layer), total / weight[keep].sum(), **CLOSE)


@each_loss
def test_without_targets_it_adds_nothing(loss, oracle):
    layer = PredictionEndpoint(loss(), metrics=["mae"])
    assert np.array_equal(layer(VECTORS), VECTORS)
    assert np.array_equal(layer(VECTORS, training=True), VECTORS)
    assert not layer.losses


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_labels(policy):
    """Whole numbers stay whole: float16 has no 2049."""
    layer = PredictionEndpoint("sparse_categorical_crossentropy", dtype=policy)
    probabilities, labels = np.full((2, 2050), 0.25 / 2049, "float32"), np.array([2049, 3])
    probabilities[0, 2049] = probabilities[1, 3] = 0.75
    layer(tf.constant(probabilities), labels, training=True)
    np.testing.assert_allclose(layer.losses[0], -np.log(0.75), rtol=5e-3)


def test_what_stands_in_the_padding_does_not_matter():
    layer, keep = PredictionEndpoint("mse"), MASK[..., np.newaxis]
    for rubbish in (1e30, np.inf, np.nan):
        predictions = tf.constant(np.where(keep, STEPS, np.float32(rubbish)))
        targets = np.where(keep, STEP_TARGETS, np.float32(rubbish))
        with tf.GradientTape() as tape:
            tape.watch(predictions)
            layer(predictions, targets, mask=MASK)
            (loss,) = layer.losses
        expected = mse(STEP_TARGETS.astype("float64"), STEPS)[MASK].mean()
        np.testing.assert_allclose(loss, expected, **CLOSE)
        gradient = tape.gradient(loss, predictions).numpy()
        assert np.isfinite(gradient).all()
        assert not gradient[~MASK].any()


@pytest.mark.parametrize("empty", ["no_samples", "all_masked"])
def test_nothing_to_predict_adds_zero(empty):
    layer, size = PredictionEndpoint("mse"), 0 if empty == "no_samples" else 4
    mask = np.zeros((size, 5), bool)
    layer(STEPS[:size], STEP_TARGETS[:size], mask=mask, training=True)
    assert float(layer.losses[0]) == 0.0


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_computes_the_loss_in_float32(policy):
    """The square of 320 is infinite in float16."""
    layer = PredictionEndpoint("mse", dtype=policy)
    predictions = tf.zeros((4, 2), policy.removeprefix("mixed_"))
    outputs = layer(predictions, tf.fill((4, 2), 320.0), training=True)
    assert outputs.dtype == predictions.dtype
    assert float(layer.losses[0]) == 320.0**2
    assert result_of(layer) == 320.0**2


def trained_model(loss="mse", metrics=None, weighted=False):
    """One dense layer, whose kernel starts at zero, with its targets as an input."""
    inputs = {"x": keras.Input((4,), name="x"), "y": keras.Input((2,), name="y")}
    if weighted:
        inputs["w"] = keras.Input((), name="w")
    predictions = keras.layers.Dense(2, use_bias=False, kernel_initializer="zeros")(inputs["x"])
    endpoint = PredictionEndpoint(loss, metrics=metrics, name="endpoint")
    outputs = endpoint(predictions, inputs["y"], sample_weight=inputs.get("w"))
    return keras.Model(inputs, outputs)


def batches(size, samples=11, weighted=False):
    arrays = {"x": INPUTS[:samples], "y": TARGETS[:samples]}
    if weighted:
        arrays["w"] = WEIGHTS[:samples]
    return tf.data.Dataset.from_tensor_slices((arrays,)).batch(size)


def descend(rate, steps, weights=None, size=11):
    """The mean loss over each step's batch, and the kernels, of gradient descent in NumPy."""
    kernel, losses = np.zeros((4, 2)), []
    weights = np.ones(11) if weights is None else weights
    for start in range(0, steps * size, size):
        part = slice(start % 11, start % 11 + size)
        x, y, w = (a[part].astype("float64") for a in (INPUTS, TARGETS, weights))
        error = x @ kernel - y
        losses.append((w * (error**2).mean(axis=1)).sum() / len(x))
        kernel -= rate * x.T @ (w[:, np.newaxis] * error) / len(x)
    return losses, kernel


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "mode", [{}, {"run_eagerly": True}, {"jit_compile": True}], ids=["graph", "eager", "xla"]
)
def test_training_is_gradient_descent(weighted, mode):
    model = trained_model(weighted=weighted)
    model.compile(keras.optimizers.SGD(0.1), **mode)
    logs = model.fit(batches(11, weighted=weighted), epochs=4, shuffle=False, verbose=0).history
    losses, kernel = descend(0.1, 4, WEIGHTS if weighted else None)
    np.testing.assert_allclose(logs["loss"], losses, **CLOSE)
    share = 11 / WEIGHTS.sum() if weighted else 1.0
    np.testing.assert_allclose(logs["endpoint_loss"], np.multiply(losses, share), **CLOSE)
    np.testing.assert_allclose(model.get_weights()[0], kernel, **CLOSE)


def test_compile_takes_the_name_of_an_optimizer():
    model = trained_model()
    model.compile("sgd")
    losses = model.fit(batches(11), epochs=3, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(losses, descend(0.01, 3)[0], **CLOSE)


METRICS = {
    "strings": lambda: ["mae"],
    "objects": lambda: [keras.metrics.MeanAbsoluteError(name="mae")],
}


@each_loss
@pytest.mark.parametrize("metrics", METRICS.values(), ids=METRICS.keys())
def test_metrics_are_in_the_history(loss, oracle, metrics):
    """Uneven batches; the predictions are zeros."""
    model = trained_model(loss(), metrics())
    model.compile(keras.optimizers.SGD(0.0))
    logs = model.fit(
        batches(4), epochs=2, validation_data=batches(4, 5), shuffle=False, verbose=0
    ).history
    for prefix, samples in (("", 11), ("val_", 5)):
        targets = TARGETS[:samples].astype("float64")
        expected = oracle(targets, np.zeros_like(targets)).mean()
        np.testing.assert_allclose(logs[f"{prefix}endpoint_loss"], [expected] * 2, **CLOSE)
        expected = np.abs(targets).mean()
        np.testing.assert_allclose(logs[f"{prefix}endpoint_mae"], [expected] * 2, **CLOSE)


def test_the_mask_of_an_upstream_layer_arrives():
    """Uneven batches with unlike numbers of valid steps, the last one without any."""
    inputs = {name: keras.Input((None, 3), name=name) for name in ("x", "y")}
    masked = keras.layers.Masking(mask_value=-9.0)(inputs["x"])
    endpoint = PredictionEndpoint("mse", metrics=["mae"], name="endpoint")
    model = keras.Model(inputs, endpoint(masked, inputs["y"]))
    model.compile(keras.optimizers.SGD(0.0))
    cut = np.where(MASK[..., np.newaxis], STEPS, np.float32(-9.0))
    data = tf.data.Dataset.from_tensor_slices(({"x": cut, "y": STEP_TARGETS},)).batch(3)
    logs = model.fit(data, shuffle=False, verbose=0).history
    targets = STEP_TARGETS.astype("float64")
    np.testing.assert_allclose(logs["endpoint_loss"], mse(targets, STEPS)[MASK].mean(), **CLOSE)
    expected = np.abs(targets - STEPS)[MASK].mean()
    np.testing.assert_allclose(logs["endpoint_mae"], expected, **CLOSE)


@pytest.mark.parametrize("samples", [11, 9])  # the last batch: 2 and 1, 1 and none
def test_two_replicas(samples, two_replicas):
    with two_replicas.scope():
        model = trained_model(metrics=[keras.metrics.MeanAbsoluteError(name="mae")], weighted=True)
        model.compile(keras.optimizers.SGD(0.0))
    logs = model.fit(batches(4, samples, weighted=True), epochs=2, shuffle=False, verbose=0).history
    targets, weights = TARGETS[:samples].astype("float64"), WEIGHTS[:samples]
    expected = np.average((targets**2).mean(axis=1), weights=weights)
    np.testing.assert_allclose(logs["endpoint_loss"], [expected] * 2, **CLOSE)
    assert np.isfinite(model.get_weights()[0]).all()


def test_two_replicas_train_as_one_device(two_replicas):
    """Batches that the replicas share evenly."""
    with two_replicas.scope():
        model = trained_model()
        model.compile(keras.optimizers.SGD(0.1))
    model.fit(batches(4, 8), epochs=1, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], descend(0.1, 2, size=4)[1], **CLOSE)


@each_loss
def test_a_saved_model_evaluates_the_same_and_trains_on(loss, oracle, tmp_path):
    model = trained_model(loss(), [keras.metrics.MeanAbsoluteError(name="mae")])
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(batches(4), verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    before, after = (m.evaluate(batches(4), return_dict=True, verbose=0) for m in (model, again))
    assert before.keys() == after.keys() > {"endpoint_mae"}
    assert before == pytest.approx(after, rel=1e-6)
    np.testing.assert_allclose(again.predict(batches(4)), model.predict(batches(4)), rtol=1e-6)
    again.fit(batches(4), verbose=0)


def test_a_model_for_inference_shares_the_trained_layers():
    model = trained_model()
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(batches(11), epochs=2, verbose=0)
    endpoint, (dense,) = (
        model.get_layer("endpoint"),
        [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)],
    )
    inputs = keras.Input((4,))
    deployed = keras.Model(inputs, endpoint(dense(inputs)))
    expected = INPUTS @ model.get_weights()[0]
    np.testing.assert_allclose(deployed.predict(INPUTS, verbose=0), expected, **CLOSE)
