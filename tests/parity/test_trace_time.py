"""Right layers that look as if they kept state, leaked, froze or retraced: none is blamed."""

import functools
import threading

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import INPUTS
from tests.parity.broken.eager_only import ReadsValues
from tfk_patterns import _keras
from tfk_patterns.parity import LayerCase, check_layer

CHECKS = [
    *("eager_only", "wrapped_call", "frozen_randomness", "leaked_tensors", "python_state"),
    *("retracing", "outputs", "variables"),
]


class CachesByShape(keras.layers.Layer):
    """Keeps what it has seen and made: the same in both modes."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.tables, self.last_shape, self.trained = {}, None, None
        self.lock = threading.Lock()
        self.fixed = np.random.normal(size=(3, 3)).astype("float32")

    @functools.cached_property
    def factors(self):
        return np.linspace(0.5, 1.5, 3, dtype="float32")

    def call(self, inputs, training=None):
        self.last_shape, self.trained = inputs.shape, bool(training)
        with self.lock:
            length = inputs.shape[1]
            if length not in self.tables:
                self.tables[length] = np.arange(length, dtype="float32")[:, None]
        return tf.matmul(inputs, self.fixed) * self.factors + self.tables[length]


@functools.lru_cache(maxsize=8)
def _positions(length):
    return np.arange(length, dtype="float32")[:, None]


class CachedHelper(keras.layers.Layer):
    def call(self, inputs):
        return inputs + _positions(inputs.shape[1])


class CachesOutsideTheGraph(keras.layers.Layer):
    positions = None

    def call(self, inputs):
        if self.positions is None:
            with tf.init_scope():
                self.positions = tf.range(inputs.shape[1], dtype="float32")[:, None]
        return inputs + self.positions


class NumPyIsland(keras.layers.Layer):
    """Runs NumPy, with noise, in each step of the graph."""

    def call(self, inputs, training=None):
        def noisy(values):
            noise = np.random.normal(size=values.shape) if training else 0.0
            return (values + noise).astype("float32")

        outputs = tf.numpy_function(noisy, [inputs], tf.float32)
        outputs.set_shape(inputs.shape)
        return outputs


class Generators(keras.layers.Layer):
    """Draws from TensorFlow generators of its own, one of them without a seed."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seeded = tf.random.Generator.from_seed(1)
        self.free = tf.random.Generator.from_non_deterministic_state()

    def call(self, inputs, training=None):
        noise = self.seeded.normal(tf.shape(inputs))
        return inputs + noise + self.free.normal(tf.shape(inputs)) if training else inputs


class LooksUp(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        pairs = tf.lookup.KeyValueTensorInitializer([0, 1], [1.0, 2.0], tf.int32, tf.float32)
        self.table = tf.lookup.StaticHashTable(pairs, 0.5)

    def call(self, inputs):
        return inputs * self.table.lookup(tf.cast(inputs > 0, tf.int32))


class CountsInAWeight(keras.layers.Layer):
    def build(self, input_shape):
        self.calls = self.add_weight(name="calls", shape=(), trainable=False, initializer="zeros")
        self.built = True

    def call(self, inputs, training=None):
        if training:
            self.calls.assign_add(1.0)
        return inputs / (1.0 + tf.convert_to_tensor(self.calls))


class FixedProjection(keras.layers.Layer):
    """A random matrix that is to be the same for ever, and dropout that is turned off."""

    def call(self, inputs, training=None):
        projection = tf.random.stateless_normal((3, 2), seed=[1, 2])
        if training:
            inputs = tf.nn.experimental.stateless_dropout(inputs, 0.0, seed=[3, 4])
        return tf.matmul(inputs, projection)


class FlipsSome(keras.layers.Layer):
    """Few draws, each of two values: that they repeat is chance."""

    def call(self, inputs, training=None):
        return -inputs if not training else inputs * tf.sign(tf.random.uniform(()) - 0.5)


class MaskWithoutSeed(keras.layers.Layer):
    """Two instances differ: there is nothing to compare with."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.mask = np.random.default_rng().normal(size=(3,)).astype("float32")

    def call(self, inputs):
        return inputs * self.mask


class PureAndWrapped(keras.layers.Layer):
    """The guide's fix for Python control flow, on a `call` without effects."""

    @tf.function
    def call(self, inputs, training=None):
        if training:
            return inputs * 2.0
        return inputs if tf.reduce_mean(inputs) > 0 else -inputs


class HelpersTracedOnce(keras.layers.Layer):
    """A wrapped helper, with a Python flag, and one made when it is first needed."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.doubled = None

    @tf.function
    def scaled(self, inputs, by_two):
        return inputs * (2.0 if by_two else 3.0)

    def call(self, inputs, training=None):
        if self.doubled is None:
            self.doubled = tf.function(lambda x: x * 2.0)
        return self.doubled(self.scaled(inputs, bool(training)))


class CountsInTheClass(keras.layers.Layer):
    """All instances share the count."""

    calls = 0

    def call(self, inputs):
        type(self).calls += 1
        return inputs * (1.0 + 0.1 * (type(self).calls % 7))


_CALLS = {"count": 0}


class CountsInAGlobal(keras.layers.Layer):
    """Keeps its count in the module."""

    def call(self, inputs):
        _CALLS["count"] += 1
        return inputs * (1.0 + 0.01 * (_CALLS["count"] % 50))


class WrappedCounter(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = self.add_weight(name="calls", shape=(), initializer="zeros", trainable=False)

    @tf.function
    def call(self, inputs):
        self.calls.assign_add(1.0)
        return inputs * 2.0


RIGHT = [
    *(CachesByShape, CachedHelper, CachesOutsideTheGraph, NumPyIsland, Generators, LooksUp),
    *(CountsInAWeight, FixedProjection, FlipsSome, MaskWithoutSeed, PureAndWrapped),
    HelpersTracedOnce,
    functools.partial(keras.layers.Dropout, 0.5),
    functools.partial(keras.layers.GaussianNoise, 0.5),
]


def results(layer, checks=CHECKS, inputs=INPUTS):
    report = check_layer(LayerCase(layer, inputs, name="layer"), checks=checks, on_fail="report")
    return {result.check: result for result in report.results}


@pytest.mark.parametrize("layer", RIGHT, ids=lambda layer: getattr(layer, "__name__", "built-in"))
def test_right_layers_are_not_blamed(layer):
    found = results(layer)
    assert {name for name, result in found.items() if result.verdict == "failed"} == set()


def test_what_two_instances_do_differently_is_not_compared():
    found = results(MaskWithoutSeed)
    assert "two layers made alike differ" in found["outputs"].reason


@pytest.mark.parametrize(
    ("layer", "path"),
    [
        (CountsInTheClass, "`CountsInTheClass.calls` is"),
        (CountsInAGlobal, "`tests.parity.test_trace_time._CALLS['count']` is"),
    ],
)
def test_state_that_instances_share_is_no_randomness(layer, path):
    found = results(layer)
    failed = [name for name, result in found.items() if result.verdict == "failed"]
    assert failed == ["python_state"]
    assert found["python_state"].message.startswith(path)


def test_the_line_that_cannot_be_traced_is_named():
    found = results(ReadsValues)
    assert "eager_only.py" in found["eager_only"].where
    assert "float(np.max(inputs.numpy()))" in found["eager_only"].where
    assert found["outputs"].reason == "follows from eager_only"


@pytest.mark.skipif(_keras.GENERATION == 2, reason="Keras 2 keeps the state of a wrapped call")
def test_a_check_alone_says_what_a_wrapped_call_loses():
    assert results(WrappedCounter, ["wrapped_call"])["wrapped_call"].message == (
        "`WrappedCounter.call` is wrapped in tf.function: "
        "variables['wrapped_counter/calls'] is 1 where the plain method gives 4"
    )


def test_what_cannot_be_called_is_the_matter_of_one_check():
    class CannotBeCalled(keras.layers.Layer):
        def call(self, inputs):
            raise RuntimeError("no such thing")

    found = results(CannotBeCalled)
    assert [name for name, result in found.items() if result.verdict == "failed"] == ["outputs"]
