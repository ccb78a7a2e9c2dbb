"""What every layer must do: precisions, unknown and empty dimensions, config, files, replicas.

XLA, graphs and gradients in every mode are the harness's part, in `test_parity.py`, and so are the
modes of all cases under these duties.
"""

import inspect
import json

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers.cases import QUICK, REST
from tests.layers.models import data_of, draws, layer_in, model_of, targets_of

# Relative to the largest value; half the digits of float16 and bfloat16 and a little less.
PRECISIONS = {"float64": 1e-12, "float32": 1e-5, "mixed_float16": 5e-3, "mixed_bfloat16": 4e-2}
EXACT = {"rtol": 1e-6, "atol": 1e-6}  # the same float32 computation in another graph


each_case = pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name) for case in QUICK]
    + [pytest.param(case, id=case.name, marks=pytest.mark.slow) for case in REST],
)


def remade(layer, **changes):
    return type(layer).from_config({**layer.get_config(), **changes})


def alike(layer, case, **changes):
    """The same layer made again, with the same state."""
    again = remade(layer, **changes)
    for one in (layer, again):
        call(one, case)
    again.set_weights(layer.get_weights())
    return again


def call(layer, case, training=False):
    outputs = layer(case.inputs, mask=case.mask, training=training, **case.call_kwargs)
    return np.asarray(tf.cast(outputs, tf.float64)), [float(loss) for loss in layer.losses]


def assert_close(actual, expected, tolerance):
    scale = np.max(np.abs(expected), initial=1e-30)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


@each_case
@pytest.mark.parametrize("policy", PRECISIONS)
def test_precisions(case, policy):
    """Every policy gives the float64 result to its digits; losses are float32 at least."""
    layer = remade(case.make(), dtype=policy)
    exact = alike(layer, case, dtype="float64")
    for training in (False, True):
        if training and draws(case):
            continue  # precisions draw other numbers; values are tested elsewhere
        outputs, losses = call(layer, case, training)
        expected, expected_losses = call(exact, case, training)
        assert_close(outputs, expected, PRECISIONS[policy])
        assert_close(losses, expected_losses, max(PRECISIONS[policy], 1e-6))
    outputs = layer(case.inputs, mask=case.mask, **case.call_kwargs)
    assert outputs.dtype == layer.compute_dtype
    assert all(loss.dtype == tf.float32 for loss in layer.losses)


@each_case
def test_unknown_dimensions(case):
    """In a functional model, and in a function whose signature leaves all but features open."""
    model = model_of(case)
    layer = layer_in(model, case)
    others = [tf.TensorSpec([None, *array.shape[1:]]) for array in case.call_kwargs.values()]
    inputs = tf.nest.map_structure(
        lambda array: tf.TensorSpec([None] * (array.ndim - 1) + [array.shape[-1]], array.dtype),
        case.inputs,
    )
    mask = tf.nest.map_structure(
        lambda array: None if array is None else tf.TensorSpec([None] * array.ndim, tf.bool),
        case.mask,
    )

    @tf.function
    def traced(inputs, mask, others):
        names = dict(zip(case.call_kwargs, others, strict=True))
        return layer(inputs, mask=mask, **names)

    state = layer.get_weights()
    expected, _ = call(layer, case)
    layer.set_weights(state)
    concrete = traced.get_concrete_function(inputs, mask, others)
    arrays = tf.nest.flatten((case.inputs, case.mask, list(case.call_kwargs.values())))
    outputs = concrete(*(tf.constant(array) for array in arrays if array is not None))
    tolerance = 4e-2 if "float16" in layer.compute_dtype else 1e-6
    assert_close(np.asarray(tf.cast(outputs, tf.float64)), expected, tolerance)
    predictions = model.predict(data_of(case), verbose=0)
    assert predictions.shape == targets_of(case).shape
    if not getattr(layer, "monte_carlo", False) and case.mask is None:
        assert_close(predictions[..., 0], expected.sum(axis=-1), max(tolerance, 1e-5))


@each_case
@pytest.mark.parametrize("size", [0, 1])
def test_batches_of_none_and_one(case, size):
    layer = case.make()
    inputs, mask, others = tf.nest.map_structure(
        lambda array: None if array is None else tf.constant(array[:size]),
        (case.inputs, case.mask, dict(case.call_kwargs)),
    )
    full = layer(case.inputs, mask=case.mask, **case.call_kwargs)
    for training in (False, True):
        floats = [one for one in tf.nest.flatten(inputs) if one.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(floats)
            outputs = layer(inputs, mask=mask, training=training, **others)
            losses = [tf.convert_to_tensor(loss) for loss in layer.losses]
            total = tf.reduce_sum(tf.cast(outputs, tf.float32)) + sum(losses)
        assert outputs.shape == (size, *full.shape[1:])
        assert np.isfinite(np.asarray(tf.cast(outputs, tf.float32))).all()
        gradients = tape.gradient(total, floats)
        assert all(np.isfinite(gradient).all() for gradient in gradients)
        if size == 0:
            assert all(float(loss) == 0.0 for loss in losses)
    assert all(np.isfinite(weight).all() for weight in layer.get_weights())


@each_case
def test_config(case):
    layer = case.make()
    config = json.loads(json.dumps(layer.get_config()))
    arguments = set(inspect.signature(type(layer).__init__).parameters) - {"self", "kwargs"}
    assert arguments <= config.keys()
    again = type(layer).from_config(config)
    assert again.get_config() == layer.get_config()
    again = alike(layer, case)
    for training in (False, True):
        for ours, theirs in zip(
            call(layer, case, training), call(again, case, training), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


@each_case
@pytest.mark.parametrize(
    "how", ["keras_file", pytest.param("weights_file", marks=pytest.mark.slow)]
)
def test_files(case, how, tmp_path):
    """A trained model comes back with its predictions and losses, and trains on."""
    model = model_of(case)
    targets = targets_of(case)
    model.compile(keras.optimizers.SGD(0.01), "mse")
    model.fit(data_of(case), targets, epochs=2, verbose=0)
    if how == "keras_file":
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    else:
        model.save_weights(tmp_path / "model.weights.h5")
        again = model_of(case)
        again.compile(keras.optimizers.SGD(0.01), "mse")
        again.load_weights(tmp_path / "model.weights.h5")
    for before, after in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    for one in (model, again):
        one.evaluate(data_of(case), targets, verbose=0)  # random states move alike
    np.testing.assert_allclose(
        model.predict(data_of(case), verbose=0), again.predict(data_of(case), verbose=0), **EXACT
    )
    assert model.evaluate(data_of(case), targets, verbose=0) == pytest.approx(
        again.evaluate(data_of(case), targets, verbose=0), rel=1e-6
    )
    again.fit(data_of(case), targets, verbose=0)


@each_case
def test_export(case, tmp_path):
    model = model_of(case)
    if getattr(layer_in(model, case), "dynamic", False):
        with pytest.raises(NotImplementedError, match="SavedModel"):
            model.export(str(tmp_path))
        return
    model.export(str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    data = tf.nest.map_structure(tf.constant, data_of(case))
    outputs = loaded.serve(list(data) if isinstance(data, tuple) else data)
    assert outputs.shape == targets_of(case).shape
    if not getattr(layer_in(model, case), "monte_carlo", False):
        np.testing.assert_allclose(outputs, model.predict(data_of(case), verbose=0), **EXACT)
        return
    again = loaded.serve(data)
    assert not np.array_equal(outputs, again)


@pytest.mark.slow  # the harness compares a step of each on two replicas
@each_case
def test_two_replicas_train(case, two_replicas):
    """As on one device, where nothing is random and the replicas' statistics are not their own."""

    def train(strategy):
        with strategy.scope():
            keras.utils.set_random_seed(0)
            model = model_of(case)
            model.compile(keras.optimizers.SGD(0.01), "mse")
        arrays = (data_of(case), targets_of(case))
        data = tf.data.Dataset.from_tensor_slices(arrays).batch(len(arrays[1]))
        losses = model.fit(data, epochs=3, shuffle=False, verbose=0).history["loss"]
        return losses, model.layers[-1].get_weights()

    losses, weights = train(two_replicas)
    assert np.isfinite(losses).all()
    layer = case.make()
    own_statistics = getattr(layer, "synchronized", True) is False
    if own_statistics or getattr(layer, "normalization", None) == "batch" or draws(case):
        return
    expected_losses, expected_weights = train(tf.distribute.get_strategy())
    tolerance = 1e-2 if "float16" in layer.compute_dtype else 1e-5
    np.testing.assert_allclose(losses, expected_losses, rtol=tolerance)
    for actual, expected in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=1e-6)
