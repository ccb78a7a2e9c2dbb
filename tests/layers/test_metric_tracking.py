"""MetricTracking: what `fit` logs, recomputed in NumPy; who updates; replicas, precisions."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers.cases import MASK, STEPS
from tfk_patterns.layers import MaskedPooling1D, MetricTracking

CLOSE = {"rtol": 1e-5, "atol": 1e-6}  # float32 sums of tens of terms
AGGREGATIONS = {"mean": np.mean, "sum": np.sum, "max": np.max, "min": np.min, "std": np.std}
_DRAWS = np.random.default_rng(4)
# All negative: a zero is no neutral element for their maximum. The last batch of 4 is of 3.
TRAINING = -_DRAWS.uniform(0.5, 3.0, size=(11, 3)).astype("float32")
VALIDATION = -_DRAWS.uniform(3.0, 9.0, size=(5, 3)).astype("float32")


def update_all(layer, inputs, mask):
    for name in AGGREGATIONS:
        layer.update_metric(name, inputs, mask=mask)


class Tracked(MetricTracking, keras.layers.Layer):
    """Passes its (first) input on and updates its metrics as it is told."""

    def __init__(self, metrics=None, update=update_all, **kwargs):
        super().__init__(**kwargs)
        for name, metric in (metrics or {name: name for name in AGGREGATIONS}).items():
            self.declare_metric(name, metric)
        self.update = update
        self.supports_masking = True

    def call(self, inputs, mask=None):
        self.update(self, inputs, mask)
        return tf.nest.flatten(inputs)[0]


class Outer(keras.Model):
    """Holds the layer two levels down."""

    def __init__(self, layer):
        super().__init__()
        self.block = keras.Sequential([keras.Sequential([layer]), zero_dense()])

    def call(self, inputs, training=None):
        return self.block(inputs, training=training)


def zero_dense():
    return keras.layers.Dense(1, kernel_initializer="zeros", dtype="float32")


def functional(layer):
    inputs = keras.Input((3,))
    return keras.Model(inputs, zero_dense()(layer(inputs)))


def batches(*arrays, size=4):
    """A data set of the arrays as inputs, with zeros as targets."""
    inputs = arrays[0] if len(arrays) == 1 else arrays
    targets = np.zeros((len(arrays[0]), 1), "float32")
    return tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(size)


def history(model, data, epochs=1, **arguments):
    compiling = {k: arguments.pop(k) for k in ("run_eagerly", "jit_compile") if k in arguments}
    model.compile(keras.optimizers.SGD(0.0), "mse", **compiling)
    return model.fit(data, epochs=epochs, shuffle=False, verbose=0, **arguments).history


def results(layer):
    """What the metrics of a layer stand at."""
    return {metric.name: [float(metric.result())] for metric in layer.metrics}


def assert_logged(logs, prefix, values, epochs=1):
    for name, of in AGGREGATIONS.items():
        expected = [of(np.asarray(values, np.float64))] * epochs
        np.testing.assert_allclose(logs[prefix + name], expected, **CLOSE, err_msg=name)


@pytest.mark.parametrize(
    "mode", [{}, {"run_eagerly": True}, {"jit_compile": True}], ids=["graph", "eager", "xla"]
)
def test_fit_logs_each_epoch_anew(mode):
    model = functional(Tracked(name="seen"))
    logs = history(model, batches(TRAINING), 3, validation_data=batches(VALIDATION), **mode)
    assert_logged(logs, "seen_", TRAINING, epochs=3)
    assert_logged(logs, "val_seen_", VALIDATION, epochs=3)
    evaluated = model.evaluate(batches(VALIDATION), return_dict=True, verbose=0)
    assert_logged({name: [value] for name, value in evaluated.items()}, "seen_", VALIDATION)


def sequential(layer):
    return keras.Sequential([layer, zero_dense()])


@pytest.mark.parametrize("make", [sequential, Outer])
def test_nested(make):
    logs = history(make(Tracked(name="seen")), batches(TRAINING), 2)
    assert_logged(logs, "seen_", TRAINING, epochs=2)


def test_a_layer_that_is_called_twice_counts_both():
    inputs, layer = keras.Input((3,)), Tracked(name="seen")
    outputs = zero_dense()(layer(keras.layers.Rescaling(2.0)(layer(inputs))))
    logs = history(keras.Model(inputs, outputs), batches(TRAINING))
    assert_logged(logs, "seen_", np.stack([TRAINING, 2 * TRAINING]))


def test_two_layers_in_one_model():
    inputs = keras.Input((3,))
    doubled = keras.layers.Rescaling(2.0)(Tracked(name="one")(inputs))
    model = keras.Model(inputs, zero_dense()(Tracked(name="two")(doubled)))
    logs = history(model, batches(TRAINING))
    assert_logged(logs, "one_", TRAINING)
    assert_logged(logs, "two_", 2 * TRAINING)


def test_batches_one_by_one():
    model = functional(Tracked(name="seen"))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    logs = model.train_on_batch(TRAINING, np.zeros((11, 1)), return_dict=True)
    assert_logged({name: [value] for name, value in logs.items()}, "seen_", TRAINING)
    logs = model.test_on_batch(VALIDATION, np.zeros((5, 1)), return_dict=True)
    assert_logged({name: [value] for name, value in logs.items()}, "seen_", VALIDATION)


@pytest.mark.parametrize("traced", [False, True])
def test_a_loop_of_ones_own(traced):
    """Calls in training count, others do not."""
    layer = Tracked(name="seen")
    train, infer = lambda x: layer(x, training=True), lambda x: layer(x)
    if traced:
        train, infer = tf.function(train), tf.function(infer)
    for batch in (TRAINING[:4], TRAINING[4:8], TRAINING[8:]):
        train(tf.constant(batch))
        infer(tf.constant(VALIDATION))
    assert_logged(results(layer), "seen_", TRAINING)


class Watch(keras.callbacks.Callback):
    """Keeps the logs of the batches, and uses the model for something else between them."""

    def __init__(self):
        super().__init__()
        self.logs = []

    def on_train_batch_end(self, batch, logs=None):
        self.logs.append({name: float(value) for name, value in logs.items()})
        self.model.predict(VALIDATION, verbose=0)
        self.model(VALIDATION)
        self.model(VALIDATION, training=False)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_callbacks_see_the_batches_so_far_and_inference_in_between_changes_nothing(run_eagerly):
    watch = Watch()
    model = functional(Tracked(name="seen"))
    logs = history(model, batches(TRAINING), run_eagerly=run_eagerly, callbacks=[watch])
    for seen, entry in zip((4, 8, 11), watch.logs, strict=True):
        assert_logged({k: [v] for k, v in entry.items()}, "seen_", TRAINING[:seen])
    assert_logged(logs, "seen_", TRAINING)


@pytest.mark.parametrize("rubbish", [1e30, np.nan])
def test_what_stands_in_the_padding_does_not_matter(rubbish):
    layer = Tracked(name="seen")
    dirty = tf.constant(np.where(MASK[..., np.newaxis], STEPS, np.float32(rubbish)))
    for rows in (slice(0, 2), slice(2, 3), slice(3, 4)):  # the last one is fully masked
        layer(dirty[rows], mask=tf.constant(MASK[rows]), training=True)
    assert_logged(results(layer), "seen_", STEPS[MASK])


def test_masked_positions_are_left_out():
    inputs = keras.Input((None, 3))
    x = Tracked(name="seen")(keras.layers.Masking(mask_value=9.0)(inputs))
    model = keras.Model(inputs, zero_dense()(MaskedPooling1D()(x)))
    masked = np.where(MASK[..., np.newaxis], STEPS, np.float32(9.0))
    logs = history(model, batches(masked, size=3))  # the last batch is fully masked
    assert_logged(logs, "seen_", STEPS[MASK])


@pytest.mark.parametrize("convert", [np.asarray, tf.constant])
def test_masks_and_weights_may_be_arrays(convert):
    weights = _DRAWS.uniform(0.5, 2.0, size=MASK.shape).astype("float32")

    def update(layer, inputs, mask):
        for name in ("mean", "std"):
            layer.update_metric(name, inputs, mask=convert(MASK), sample_weight=convert(weights))

    layer = Tracked({"mean": "mean", "std": "std"}, update, name="seen")
    layer(tf.constant(STEPS), training=True)
    spread = np.repeat(np.where(MASK, weights, 0.0)[..., np.newaxis], 3, axis=-1)
    mean = np.average(STEPS, weights=spread)
    deviation = np.sqrt(np.average((STEPS - mean) ** 2, weights=spread))
    np.testing.assert_allclose(results(layer)["seen_mean"], mean, **CLOSE)
    np.testing.assert_allclose(results(layer)["seen_std"], deviation, **CLOSE)


def test_weights_are_multiplied_in():
    def update(layer, inputs, mask):
        values, weights = inputs
        layer.update_metric("mean", values, sample_weight=weights)
        layer.update_metric("sum", values, sample_weight=weights)
        layer.update_metric("masked", values, mask=values[:, 0] < -1.5, sample_weight=weights)

    weights = np.arange(11, dtype="float32")
    inputs = [keras.Input((3,)), keras.Input(())]
    metrics = {"mean": "mean", "sum": "sum", "masked": "mean"}
    layer = Tracked(metrics, update, name="seen")
    model = keras.Model(inputs, zero_dense()(layer(inputs)))
    logs = history(model, batches(TRAINING, weights))
    spread, values = np.repeat(weights[:, np.newaxis], 3, axis=1), TRAINING.astype("float64")
    keep = values[:, 0] < -1.5
    np.testing.assert_allclose(logs["seen_mean"], np.average(values, weights=spread), **CLOSE)
    np.testing.assert_allclose(logs["seen_sum"], (values * spread).sum(), **CLOSE)
    expected = np.average(values[keep], weights=spread[keep])
    np.testing.assert_allclose(logs["seen_masked"], expected, **CLOSE)


def test_a_scalar_stands_for_its_weight():
    def update(layer, inputs, mask):
        size = tf.shape(inputs)[0]
        layer.update_metric("mean", tf.reduce_mean(inputs), sample_weight=size)
        layer.update_metric("max", tf.reduce_max(inputs))

    layer = Tracked({"mean": "mean", "max": "max"}, update, name="seen")
    logs = history(functional(layer), batches(TRAINING))
    np.testing.assert_allclose(logs["seen_mean"], TRAINING.mean(), **CLOSE)
    np.testing.assert_allclose(logs["seen_max"], TRAINING.max(), **CLOSE)


@pytest.mark.parametrize("given", ["one", "shared"])
def test_a_metric_object_is_copied_and_renamed(given):
    def update(layer, inputs, mask):
        probabilities, labels = inputs
        layer.update_metric("accuracy", labels, probabilities)
        layer.update_metric("wrong", 2 - labels, probabilities)

    accuracy = keras.metrics.SparseCategoricalAccuracy()
    other = accuracy if given == "shared" else keras.metrics.SparseCategoricalAccuracy()
    inputs = [keras.Input((3,)), keras.Input((), dtype="int32")]
    layer = Tracked({"accuracy": accuracy, "wrong": other}, update, name="seen")
    model = keras.Model(inputs, zero_dense()(layer(inputs)))
    labels = np.arange(11, dtype="int32") % 3
    logs = history(model, batches(TRAINING, labels), 2)
    right = TRAINING.argmax(axis=1)
    np.testing.assert_allclose(logs["seen_accuracy"], [(labels == right).mean()] * 2, **CLOSE)
    np.testing.assert_allclose(logs["seen_wrong"], [(2 - labels == right).mean()] * 2, **CLOSE)


# The last batch: 2 and 1, 1 and none.
@pytest.mark.parametrize("samples", [pytest.param(11, marks=pytest.mark.slow), 9])
def test_two_replicas(samples, two_replicas):
    with two_replicas.scope():
        model = functional(Tracked(name="seen"))
        logs = history(model, batches(TRAINING[:samples]), 2, validation_data=batches(VALIDATION))
    assert_logged(logs, "seen_", TRAINING[:samples], epochs=2)
    assert_logged(logs, "val_seen_", VALIDATION, epochs=2)


def test_float16_values_are_added_in_more_digits():
    """In float16, 4,096 ones add up to 2,048."""
    model = functional(Tracked(name="seen", dtype="mixed_float16"))
    logs = history(model, batches(np.ones((4096, 3), "float32"), size=1000))
    values = [logs[f"seen_{name}"][0] for name in AGGREGATIONS]
    assert values == [1.0, 3 * 4096.0, 1.0, 1.0, 0.0]


def test_the_deviation_of_values_with_a_large_offset():
    values = (1000 + _DRAWS.normal(size=(600, 3))).astype("float32")
    logs = history(functional(Tracked(name="seen")), batches(values, size=250))
    np.testing.assert_allclose(logs["seen_std"], values.astype("float64").std(), rtol=1e-4)


def test_names_and_aggregations_are_checked():
    layer = Tracked({"one": "mean"}, lambda layer, inputs, mask: None)
    with pytest.raises(ValueError, match="one"):
        layer.declare_metric("one", "sum")
    with pytest.raises(ValueError, match="median"):
        layer.declare_metric("two", "median")
    with pytest.raises(TypeError, match="3"):
        layer.declare_metric("two", 3)


@pytest.mark.parametrize("metric", ["mean", "std"])
def test_a_scalar_without_a_weight_and_an_undeclared_name_are_refused(metric):
    def scalar(layer, inputs, mask):
        layer.update_metric("one", tf.reduce_sum(inputs))

    def undeclared(layer, inputs, mask):
        layer.update_metric("other", inputs)

    with pytest.raises(ValueError, match="sample_weight"):
        Tracked({"one": metric}, scalar)(TRAINING, training=True)
    with pytest.raises(ValueError, match="other"):
        Tracked({"one": metric}, undeclared)(TRAINING, training=True)
