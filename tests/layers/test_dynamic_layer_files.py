"""DynamicLayer in files, exports and XLA: `.keras` files come back, the others say why not."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers.cases import STEPS, VECTORS
from tests.layers.dynamic_layers import Brief, Folded, Shrunk
from tfk_patterns import _keras
from tfk_patterns.layers import DynamicLayer

TARGETS = np.ones((4, 1), "float32")


def fitted(layer, data=STEPS):
    inputs = keras.Input(data.shape[1:])
    model = keras.Model(inputs, keras.layers.Dense(1)(layer(inputs)))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit(data, TARGETS[: len(data)], verbose=0)
    return model


@pytest.mark.parametrize("dynamic", [True, "island", pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("how", ["keras_file", "weights_file"])
def test_files(dynamic, how, tmp_path):
    model = fitted(Brief(units=3, dynamic=dynamic))
    if how == "keras_file":
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    else:
        model.save_weights(tmp_path / "model.weights.h5")
        again = fitted(Brief(units=3, dynamic=dynamic))
        again.load_weights(tmp_path / "model.weights.h5")
    assert again.layers[1].dynamic == dynamic
    assert again.layers[1].supports_jit == (dynamic is False)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(
        again.predict(STEPS, verbose=0), model.predict(STEPS, verbose=0), rtol=1e-6
    )
    assert again.evaluate(STEPS, TARGETS, verbose=0) == pytest.approx(
        model.evaluate(STEPS, TARGETS, verbose=0), rel=1e-6
    )
    again.fit(STEPS, TARGETS, verbose=0)


def test_config():
    layer = Folded(dynamic="island", scale=2.0, name="folded")
    config = layer.get_config()
    assert config["dynamic"] == "island"
    assert Folded.from_config(config).get_config() == config
    assert Folded().dynamic is True


@pytest.mark.parametrize("dynamic", [True, "island"])
def test_checkpoints(dynamic, tmp_path):
    model = fitted(Folded(dynamic=dynamic))
    path = tf.train.Checkpoint(model=model).save(tmp_path / "checkpoint")
    again = fitted(Folded(dynamic=dynamic))
    tf.train.Checkpoint(model=again).restore(path).expect_partial()
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dynamic", [True, "island"])
def test_export_says_why_not_and_what_instead(dynamic, tmp_path):
    model = fitted(Folded(dynamic=dynamic))
    with pytest.raises(NotImplementedError, match=r"SavedModel.*`\.keras`"):
        model.export(str(tmp_path / "exported"))
    model.predict(STEPS, verbose=0)


@pytest.mark.parametrize("dynamic", [True, "island"])
def test_xla_says_why_not_and_what_instead(dynamic):
    layer = Folded(dynamic=dynamic)
    layer.build((None, 5, 3))
    with pytest.raises(NotImplementedError, match="XLA cannot compile the layer 'folded"):
        tf.function(layer, jit_compile=True)(STEPS)
    np.testing.assert_allclose(tf.function(layer)(STEPS), layer(STEPS), rtol=1e-6)


def test_a_model_compiled_for_xla_says_why_not():
    """Keras 3 leaves XLA out by itself, with a warning."""
    inputs = keras.Input((5, 3))
    model = keras.Model(inputs, keras.layers.Dense(1)(Folded(dynamic="island")(inputs)))
    if _keras.GENERATION == 3:
        with pytest.warns(UserWarning, match="Proceeding with `jit_compile=False`"):
            model.compile("sgd", "mse", jit_compile=True)
        model.fit(STEPS, TARGETS, verbose=0)
        return
    model.compile("sgd", "mse", jit_compile=True)
    with pytest.raises(NotImplementedError, match="XLA cannot compile the layer"):
        model.fit(STEPS, TARGETS, verbose=0)


@pytest.mark.parametrize("dynamic", [True, "island", False])
def test_supports_jit(dynamic):
    layer = Shrunk(dynamic=dynamic)
    assert layer.supports_jit is (dynamic is False)
    assert _keras.supports_jit(layer) is (dynamic is False)


def test_a_call_that_can_be_traced_is_an_ordinary_layer(tmp_path):
    """With `dynamic=False`: compiled by XLA, exported, and differentiated twice."""

    class Square(DynamicLayer):
        def build(self, input_shape):
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
            self.built = True

        def compute_output_shape(self, input_shape):
            return tuple(input_shape)

        def call(self, inputs):
            return self.scale * inputs**2

    layer = Square(dynamic=False)
    model = fitted(layer, VECTORS[:4])
    model.export(str(tmp_path))
    data = tf.constant(VECTORS)
    loaded = tf.saved_model.load(str(tmp_path))
    np.testing.assert_allclose(loaded.serve(data), model(data), rtol=1e-5)
    scale = float(tf.convert_to_tensor(layer.scale))
    compiled = tf.function(layer, jit_compile=True)(data)
    np.testing.assert_allclose(compiled, scale * VECTORS**2, rtol=1e-5)

    @tf.function
    def twice(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                total = tf.reduce_sum(layer(x))
            gradient = inner.gradient(total, x)
        return outer.gradient(gradient, x)

    np.testing.assert_allclose(twice(data), np.full(VECTORS.shape, 2 * scale), rtol=1e-5)
