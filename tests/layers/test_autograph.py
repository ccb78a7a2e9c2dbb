"""autograph_call: Python control flow in `call`, against NumPy, in every mode and kind of model."""

import inspect

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers.autograph_layers import Blocks, Collected, Halved, Leaky, Net, Rescaled, WarmedUp
from tests.layers.cases import MASK, STEPS
from tfk_patterns import _keras
from tfk_patterns.layers import autograph_call
from tfk_patterns.parity import LayerCase, check_layer, parametrize_checks

CLOSE = {"rtol": 1e-5, "atol": 1e-6}  # float32 sums of tens of terms
_DRAWS = np.random.default_rng(5)
BATCHES = [_DRAWS.normal(size=(6, 3)).astype("float32") * scale for scale in (1.0, 0.1, 5.0, 0.01)]
DATA = _DRAWS.normal(size=(24, 3)).astype("float32")
TARGETS = DATA[:, :1] - DATA[:, 1:2]
MODES = {"graph": {}, "eager": {"run_eagerly": True}, "xla": {"jit_compile": True}}

QUICK = [
    LayerCase(Leaky, STEPS, MASK, name="leaky-masked"),
    LayerCase(WarmedUp, STEPS, name="warmed_up"),
]
REST = [
    LayerCase(Leaky, STEPS, name="leaky"),
    LayerCase(Halved, 5 * STEPS, name="halved"),
    LayerCase(Blocks, STEPS, MASK, name="blocks"),
]


@parametrize_checks(QUICK)
def test_a_decorated_layer_does_the_same_in_every_mode(case, check):
    check(case)


@pytest.mark.slow
@parametrize_checks(REST)
def test_other_decorated_layers_do_the_same_in_every_mode(case, check):
    check(case)


@pytest.mark.parametrize("case", [*QUICK, *REST[:2]], ids=lambda case: case.name)
def test_the_decorator_is_what_mends_it(case):
    """Without it, the same layer cannot be traced where Keras does not convert."""
    decorated = type(case.make())
    plain = type("Plain", (decorated,), {"call": inspect.unwrap(decorated.call)})
    undecorated = LayerCase(plain, case.inputs, case.mask)
    report = check_layer(undecorated, checks=["eager_only"], on_fail="report")
    assert report.passed == _keras.AUTOGRAPH
    if not report.passed:
        assert "`tfk_patterns.layers.autograph_call`" in report.failures[0].hint


def rescaled(batches):
    count = 0
    for batch in batches:
        norm = np.sqrt((batch**2).sum())
        count += norm > 1
        yield (batch / norm if norm > 1 else batch) * (1 + count)


def collected(batches):
    for batch in batches:
        taken, total = batch[batch.sum(axis=1) >= 0], np.zeros(3)
        for row in taken:
            if total.sum() <= 2:
                total = total + row
        total = total + 0.5 * batch[::2].sum(axis=0) - 0.25 * batch[1::2].sum(axis=0)
        yield batch + total * (1 if total.sum() > 0 else -1)


def halved(batches):
    for batch in batches:
        largest = np.abs(batch).max(axis=1, keepdims=True)
        yield batch / 2 ** np.maximum(np.floor(np.log2(largest)) + 1, 0)


LAYERS = [(Rescaled, rescaled), (Collected, collected), (Halved, halved)]


def in_mode(layer, mode):
    if mode == "eager":
        return layer
    if mode == "model":
        inputs = keras.Input((3,))
        model = keras.Model(inputs, layer(inputs))
        return lambda batch: model.predict(batch, verbose=0)
    return tf.function(layer, autograph=_keras.AUTOGRAPH, jit_compile=mode == "xla")


@pytest.mark.parametrize("mode", ["eager", "graph", "xla", "model"])
@pytest.mark.parametrize(("layer", "oracle"), LAYERS, ids=lambda one: one.__name__)
def test_values(layer, oracle, mode):
    call = in_mode(layer(), mode)
    expected = oracle([np.asarray(batch, np.float64) for batch in BATCHES])
    for batch, outputs in zip(BATCHES, expected, strict=True):
        np.testing.assert_allclose(call(batch), outputs, **CLOSE)


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_a_loop_with_a_mask_in_half_precision(mode):
    layer = Leaky(dtype="mixed_float16")
    call = in_mode(lambda inputs: layer(inputs, mask=tf.constant(MASK)), mode)
    expected = np.zeros((4, 3))
    for step in range(5):
        moved = 0.5 * expected + STEPS[:, step]
        expected = np.where(MASK[:, step, np.newaxis], moved, expected)
    outputs = call(tf.constant(STEPS))
    assert outputs.dtype == tf.float16
    np.testing.assert_allclose(outputs, expected, atol=5e-3)


def functional():
    inputs = keras.Input((3,))
    x = keras.layers.Dense(4)(inputs)
    for part in (Rescaled(), Halved(), Blocks(), WarmedUp(name="warm")):
        x = part(x)
    return keras.Model(inputs, keras.layers.Dense(1)(x))


def sequential():
    parts = [keras.layers.Dense(4), Rescaled(), Blocks(), WarmedUp(name="warm")]
    return keras.Sequential([*parts, keras.layers.Dense(1)])


def trained(make, mode):
    """History, weights and count of a model after twelve steps."""
    keras.utils.set_random_seed(0)
    model = make()
    model.compile(keras.optimizers.SGD(0.05), "mse", **MODES[mode])
    logs = model.fit(DATA, TARGETS, epochs=3, batch_size=6, shuffle=False, verbose=0).history
    return logs, model.get_weights()


@pytest.mark.parametrize(
    "make",
    [*(pytest.param(make, marks=pytest.mark.slow) for make in (functional, sequential)), Net],
)
def test_training(make):
    """Losses, state, dropout, a metric in a branch: as eager mode has them, in graph and XLA."""
    logs, weights = trained(make, "eager")
    assert logs["warm_warming"] == [18.0, 0.0, 0.0]  # the first three batches of six
    for mode in ("graph", "xla"):
        found, others = trained(make, mode)
        assert found["warm_warming"] == logs["warm_warming"]
        np.testing.assert_allclose(found["loss"], logs["loss"], **CLOSE)
        for one, other in zip(others, weights, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_loss_is_in_what_is_trained_on():
    """What `@tf.function` on `call` loses."""
    with_penalty = keras.Sequential([keras.Input((3,)), WarmedUp(name="warm")])
    with_penalty.compile(keras.optimizers.SGD(0.0), "mse")
    logs = with_penalty.fit(DATA, DATA, epochs=2, batch_size=6, shuffle=False, verbose=0).history
    squares = [np.mean(batch.astype("float64") ** 2) for batch in np.split(DATA, 4)]
    expected = 0.1 * np.mean(np.multiply(squares, [1 / 3, 2 / 3, 1, 1])), 0.1 * np.mean(squares)
    np.testing.assert_allclose(logs["loss"], expected, **CLOSE)


def test_the_symbolic_build_changes_no_state():
    for layer in (Rescaled(), WarmedUp(), Blocks()):
        layer.build((None, 3))
        before = [np.array(value) for value in layer.get_weights()]
        inputs = keras.Input((3,))
        model = keras.Model(inputs, layer(inputs))
        model.compile("sgd", "mse")
        for value, other in zip(layer.get_weights(), before, strict=True):
            np.testing.assert_array_equal(value, other)
        assert not any(float(metric.result()) for metric in layer.metrics if metric.name != "loss")


def test_two_replicas(two_replicas):
    """Each replica takes its own branch."""
    with two_replicas.scope():
        model = keras.Sequential([keras.Input((3,)), WarmedUp(name="warm")])
        model.compile(keras.optimizers.SGD(0.0), "mse")
    logs = model.fit(DATA, DATA, batch_size=6, shuffle=False, verbose=0).history
    assert logs["warm_warming"] == [18.0]


def test_no_retracing():
    layer, traces = Rescaled(), []

    class Traced(keras.layers.Layer):
        def call(self, inputs):
            traces.append(inputs.shape)
            return layer(inputs)

    model = keras.Sequential([keras.Input((3,)), Traced()])
    model.compile("sgd", "mse")
    model.fit(DATA, DATA, batch_size=6, verbose=0)
    first = len(traces)
    model.fit(DATA, DATA, batch_size=6, epochs=3, verbose=0)
    assert len(traces) == first
    function = tf.function(layer, autograph=_keras.AUTOGRAPH)
    for batch in BATCHES:
        function(tf.constant(batch))
    assert function.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_a_loss_added_in_a_branch_is_refused(mode):
    """As on Keras 2: its tensor is of the branch."""

    @autograph_call
    class Inside(keras.layers.Layer):
        def call(self, inputs):
            if tf.norm(inputs) > 1.0:
                self.add_loss(tf.reduce_sum(inputs))
            return inputs

    model = keras.Sequential([keras.Input((3,)), Inside()])
    model.compile("sgd", "mse", **MODES[mode])
    with pytest.raises(ValueError, match="out of scope"):
        model.fit(DATA, DATA, verbose=0)
