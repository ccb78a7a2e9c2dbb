"""DynamicLayer in models: built without a call, and trained in every mode to equal weights."""

import contextlib
import functools
import io

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers.cases import MASK, STEPS, VECTORS
from tests.layers.dynamic_layers import (
    Brief,
    Everything,
    Folded,
    Matched,
    Shrunk,
    give_state,
    state_of,
)
from tfk_patterns import _keras
from tfk_patterns.layers import DynamicLayer

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
ON_KERAS_2 = _keras.GENERATION == 2
TARGETS = np.sin(np.arange(4.0, dtype="float32"))[:, np.newaxis]
# As the layer is told; the last is an ordinary layer, and the oracle.
MODES = {
    "dynamic_eager": (True, {"run_eagerly": True}),
    "dynamic": (True, {}),
    "island": ("island", {}),
    "island_merged_steps": ("island", {"steps_per_execution": 2}),
    "traced": (False, {"jit_compile": False} if ON_KERAS_2 else {}),
}


def slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


class NeverCalled(DynamicLayer):
    """Says its shapes, and cannot be called."""

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(4, 3))
        self.built = True

    def compute_output_shape(self, input_shape):
        return {"low": (input_shape[0], 3), "high": [(input_shape[0], None, 7)]}

    def call(self, inputs):
        raise AssertionError("`call` has run")


@pytest.mark.parametrize("dynamic", [True, "island"])
def test_functional_construction_never_runs_call(dynamic):
    inputs = keras.Input((4,))
    layer = NeverCalled(dynamic=dynamic, dtype="mixed_float16")
    outputs = layer(inputs)
    assert tuple(outputs["low"].shape) == (None, 3)
    assert tuple(outputs["high"][0].shape) == (None, None, 7)
    assert tf.as_dtype(outputs["low"].dtype) == tf.float16
    model = keras.Model(inputs, outputs)
    again = model(keras.Input((4,)))
    assert tuple(again["low"].shape) == (None, 3)
    keras.models.clone_model(model)
    type(model).from_config(model.get_config(), {"NeverCalled": NeverCalled})


@pytest.mark.parametrize("dynamic", [True, "island"])
def test_summary_tells_the_truth_before_a_call(dynamic):
    inputs = keras.Input((5, 3))
    outputs = keras.layers.Dense(2)(Folded(dynamic=dynamic)(inputs))
    model = keras.Model(inputs, outputs)
    lines = []
    with contextlib.redirect_stdout(io.StringIO()):
        model.summary(print_fn=lambda line, **_: lines.append(line))
    text = "\n".join(lines)
    assert model.count_params() == (9 + 3) + (3 * 2 + 2)
    assert "(None, 3)" in text
    assert " 12 " in text
    assert "unused" not in text


def chain(dynamic, kind="functional", layer=Brief, **arguments):
    """Dense, the layer, dense; in equal states whatever `dynamic` is."""
    keras.utils.set_random_seed(0)
    parts = [
        keras.layers.Dense(3, activation="tanh"),
        layer(units=4, dynamic=dynamic, **arguments),
        keras.layers.Dense(1),
    ]
    if kind == "sequential":
        model = keras.Sequential([keras.Input((3, 3)), *parts])
    elif kind == "subclassed":
        model = Chain(parts)
        model(CUT)
    else:
        inputs = x = keras.Input((3, 3))
        if kind == "masked":
            x = keras.layers.Masking(-9.0)(x)
        if kind == "nested":
            between = keras.Input((3, 3))
            parts[1:2] = [keras.Model(between, parts[1](between))]
        for part in parts:
            x = part(x)
        model = keras.Model(inputs, x)
    return model


class Chain(keras.Model):
    def __init__(self, parts):
        super().__init__()
        self.parts = parts

    def call(self, inputs, training=None):
        first, dynamic, last = self.parts
        return last(dynamic(first(inputs), training=training))


CUT = STEPS[:, :3]


def data_of(kind):
    return np.where(MASK[:, :3, np.newaxis], CUT, np.float32(-9)) if kind == "masked" else CUT


def trained(mode, kind="functional", optimizer=None, **arguments):
    """History, weights and predictions after some epochs of uneven batches, with validation."""
    dynamic, how = MODES[mode]
    model = chain(dynamic, kind, **arguments)
    model.compile(optimizer or keras.optimizers.SGD(0.05), "mse", metrics=["mae"], **how)
    data = data_of(kind)
    history = model.fit(
        np.concatenate([data, data[:3]]),
        np.concatenate([TARGETS, TARGETS[:3]]),
        validation_data=(data, TARGETS),
        batch_size=2,
        epochs=2,
        shuffle=False,
        verbose=0,
    ).history
    # Keras 3 names a layer's metrics by the layer, and layers count their names.
    history = {"size" if key.endswith("size") else key: v for key, v in history.items()}
    return history, [*state_of(model), model.predict(data, verbose=0)]


@pytest.fixture(scope="module")
def expected():
    """What the ordinary layer in the traced graph gives, for a kind of model."""
    return functools.cache(lambda kind: trained("traced", kind))


def assert_trained_alike(actual, expected):
    assert actual[0].keys() == expected[0].keys()
    for key, values in expected[0].items():
        np.testing.assert_allclose(actual[0][key], values, **CLOSE, err_msg=key)
    for one, other in zip(actual[1], expected[1], strict=True):
        np.testing.assert_allclose(one, other, **CLOSE)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "traced"])
@pytest.mark.parametrize("kind", ["functional", slow("masked")])
def test_fit_in_every_mode(mode, kind, expected):
    assert expected(kind)[0]["loss"][0] != expected(kind)[0]["loss"][1]
    assert_trained_alike(trained(mode, kind), expected(kind))


@pytest.mark.parametrize("kind", [slow("sequential"), "nested", slow("subclassed")])
def test_fit_of_other_models(kind, expected):
    assert_trained_alike(trained("island", kind), expected(kind))


@pytest.mark.slow
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "traced"])
@pytest.mark.parametrize("kind", ["functional", "masked", "nested"])
def test_fit_of_everything(mode, kind):
    actual, expected = (trained(m, kind, layer=Everything) for m in (mode, "traced"))
    assert_trained_alike(actual, expected)


def test_dropout_of_keras_in_fit(expected):
    """Draws as in eager mode: on Keras 2 from the global state, which both start alike."""
    eager = trained("dynamic_eager", keras_dropout=True)
    assert_trained_alike(trained("island", keras_dropout=True), eager)
    assert eager[0]["loss"] != expected("functional")[0]["loss"]


@pytest.mark.parametrize("clip", [slow("clipnorm"), "global_clipnorm", slow("clipvalue")])
def test_clipping_optimizers(clip):
    made = [trained(m, optimizer=keras.optimizers.SGD(1.0, **{clip: 0.01})) for m in
            ("island", "traced")]  # fmt: skip
    assert_trained_alike(*made)


@pytest.mark.parametrize("dtype", [slow("mixed_float16"), "float64"])
def test_fit_with_a_policy(dtype):
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(dtype)
    try:
        made = [trained(mode) for mode in ("island", "dynamic_eager")]
    finally:
        keras.mixed_precision.set_global_policy(before)
    for one, other in zip(*(weights for _, weights in made), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(made[0][0]["loss"], made[1][0]["loss"], rtol=1e-2)


class Modes(keras.layers.Layer):
    """Notes whether it is called eagerly, and how often."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.eager = {"yes": 0, "no": 0}

    def call(self, inputs):
        self.eager["yes" if tf.executing_eagerly() else "no"] += 1
        return inputs


@pytest.mark.parametrize("dynamic", [True, "island", False])
def test_the_rest_of_the_model_stays_compiled(dynamic):
    """But on Keras 2 by Keras' own `dynamic=True`; and nothing is traced a second time."""
    modes, inputs = Modes(), keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(4)(Shrunk(dynamic=dynamic)(modes(inputs)))
                        if dynamic else keras.layers.Dense(4)(modes(inputs)))  # fmt: skip
    model.compile("sgd", "mse")
    model.fit(VECTORS, VECTORS, batch_size=2, epochs=2, verbose=0)
    traced = dict(modes.eager)
    whole = ON_KERAS_2 and dynamic is True
    assert bool(model.run_eagerly) == whole
    assert (traced["yes"] > 0) == whole
    model.fit(VECTORS, VECTORS, batch_size=3, epochs=3, verbose=0)
    if not whole:
        retraced = modes.eager["no"] - traced["no"]
        assert retraced <= 1  # where Keras learns that the batch's size varies


def test_keras_2_says_that_a_model_cannot_leave_eager_mode():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, Shrunk()(inputs))
    if ON_KERAS_2:
        model.compile("sgd", "mse", run_eagerly=False)
        with pytest.raises(ValueError, match="run_eagerly=False"):
            model.fit(VECTORS, VECTORS, verbose=0)
    else:
        model.compile("sgd", "mse", run_eagerly=False)
        assert not model.run_eagerly


@pytest.mark.parametrize("dynamic", [slow(True), "island"])
def test_batch_methods_and_datasets(dynamic):
    model, oracle = chain(dynamic), chain(False)
    for one in (model, oracle):
        one.compile(keras.optimizers.SGD(0.05), "mse")
    for method in ("train_on_batch", "test_on_batch", "train_on_batch"):
        actual, expected = (getattr(one, method)(CUT, TARGETS) for one in (model, oracle))
        np.testing.assert_allclose(actual, expected, **CLOSE)
    actual, expected = (one.predict_on_batch(CUT) for one in (model, oracle))
    np.testing.assert_allclose(actual, expected, **CLOSE)
    data = tf.data.Dataset.from_tensor_slices((CUT, TARGETS)).batch(3)
    actual, expected = (one.fit(data, verbose=0).history["loss"] for one in (model, oracle))
    np.testing.assert_allclose(actual, expected, **CLOSE)
    actual, expected = (one.evaluate(data, verbose=0) for one in (model, oracle))
    np.testing.assert_allclose(actual, expected, **CLOSE)


def test_in_the_map_of_a_dataset():
    layer = Shrunk()
    layer.build((None, 4))
    data = tf.data.Dataset.from_tensor_slices(3 * VECTORS).batch(2).map(layer)
    rows = np.concatenate(list(data.as_numpy_iterator()))
    np.testing.assert_allclose(rows, layer(3 * VECTORS), rtol=1e-6)


def test_a_layer_shared_at_two_places():
    def shared(dynamic):
        inputs = keras.Input((3, 3))
        layer = Brief(units=3, dynamic=dynamic)
        repeated = keras.layers.RepeatVector(3)(layer(inputs))
        model = keras.Model(inputs, keras.layers.Dense(1)(layer(repeated)))
        model.compile(keras.optimizers.SGD(0.05), "mse")
        return model

    model, oracle = shared("island"), shared(False)
    give_state(oracle, model)
    losses = [one.fit(CUT, TARGETS, epochs=3, verbose=0).history["loss"] for one in (model, oracle)]
    np.testing.assert_allclose(*losses, **CLOSE)
    for one, other in zip(state_of(model), state_of(oracle), strict=True):
        np.testing.assert_allclose(one, other, **CLOSE)


@pytest.mark.parametrize("dynamic", [True, "island"])
def test_frozen_in_fit(dynamic):
    model = chain(dynamic)
    layer = model.layers[-2]
    layer.trainable = False
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before, first = layer.get_weights(), model.layers[1].get_weights()[0]
    model.fit(CUT, TARGETS, epochs=2, verbose=0)
    for name, one, other in zip(
        (v.name for v in layer.weights), before, layer.get_weights(), strict=True
    ):
        if "calls" not in name and "random" not in name:  # its own: `call` counts, and draws
            np.testing.assert_array_equal(one, other, err_msg=name)
    assert np.any(model.layers[1].get_weights()[0] != first)


def test_several_inputs_of_a_model():
    points, targets = keras.Input((5, 3)), keras.Input((5, 3))
    moved = keras.layers.Dense(3, kernel_initializer="identity")(points)
    model = keras.Model([points, targets], Matched(dynamic="island")([moved, targets]))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    order = [2, 0, 1, 4, 3]
    losses = model.fit(
        [STEPS, 1.1 * STEPS[:, order]], 1.1 * STEPS[:, order], epochs=3, verbose=0
    ).history["loss"]
    np.testing.assert_allclose(losses[0], np.mean((0.1 * STEPS) ** 2), rtol=1e-4)
    assert losses[2] < losses[1] < losses[0]


@pytest.mark.parametrize("dynamic", [slow(True), "island"])
def test_two_replicas(two_replicas, dynamic):
    """Each replica runs its island on its share; sums and weights are those of one device."""

    def train(strategy, dynamic):
        with strategy.scope():
            keras.utils.set_random_seed(0)
            inputs = keras.Input((4,))
            x = keras.layers.Dense(4, kernel_initializer="identity")(inputs)
            model = keras.Model(inputs, keras.layers.Dense(1)(Shrunk(0.5, dynamic=dynamic)(x)))
            model.compile(keras.optimizers.SGD(0.1), "mse")
        data = tf.data.Dataset.from_tensor_slices((VECTORS, VECTORS[:, :1])).batch(6)
        losses = model.fit(data, epochs=3, verbose=0).history["loss"]
        return losses, model.get_weights()

    losses, weights = train(two_replicas, dynamic)
    expected_losses, expected = train(tf.distribute.get_strategy(), dynamic)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_two_replicas_with_everything(two_replicas):
    with two_replicas.scope():
        model = chain("island")
        model.compile(keras.optimizers.SGD(0.05), "mse")
    data = tf.data.Dataset.from_tensor_slices((CUT, TARGETS)).batch(4)
    history = model.fit(data, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(value).all() for value in state_of(model))
