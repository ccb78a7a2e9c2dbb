"""What is found of Python state, and under which path."""

import collections
import enum
import itertools
import types

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns.parity.objects.plain_values import text_of
from tfk_patterns.parity.objects.python_state import python_state


class Colour(enum.Enum):
    RED = 1


class Slotted:
    __slots__ = ("count", "unset")

    def __init__(self):
        self.count = 3

    @property
    def never_called(self):
        raise AssertionError


class Holder(keras.layers.Layer):
    """Holds one of each kind."""

    limit = 7

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.numbers = [1, float("nan"), Colour.RED]
        self.nested = {"a": [{"b": Slotted()}], "c": (1, 2)}
        self.queue = collections.deque([1, 2], maxlen=3)
        self.table = np.arange(3)
        self.large = np.zeros((300, 300))
        self.iterator = iter([1, 2, 3])
        self.counter = itertools.count(5)
        self.simple = types.SimpleNamespace(x=1)
        self.simple.owner = self
        self.inner = keras.Sequential([keras.layers.Dense(2)])
        self.rng = np.random.default_rng(0)
        self.scaled = tf.function(lambda inputs: inputs * 2.0)
        self.total = tf.Variable(1.0, trainable=False)

    def call(self, inputs):
        return self.scaled(self.inner(inputs))


def held():
    layer = Holder()
    layer(np.ones((1, 2), "float32"))
    return layer


def test_values_have_paths():
    values = python_state(held()).values
    expected = {
        "self.numbers": f"[1, nan, {Colour.RED!r}]",
        "self.nested['a'][0]['b'].count": "3",
        "self.nested['c']": "[1, 2]",
        "self.queue": "[1, 2]",
        "self.table": "array([0, 1, 2])",
        "self.iterator": "an iterator, 3 left",
        "self.counter": "count(5)",
        "self.simple.x": "1",
        "Holder.limit": "7",
    }
    assert {path: values.get(path) for path in expected} == expected
    assert values["self.large"].startswith("an array of shape (300, 300)")
    assert any(path.endswith(".units") for path in values)


def test_what_keras_itself_keeps_is_left_out():
    paths = python_state(held()).values
    assert not [path for path in paths if "_loss" in path or "_policy" in path or "total" in path]


def test_functions_generators_and_symbolic_tensors_are_found():
    layer = held()
    tf.function(lambda: setattr(layer.simple, "x", [tf.constant(1.0) + 1.0]))()
    state = python_state(layer)
    assert list(state.functions) == ["self.scaled"]
    assert {"self.rng", "random", "np.random"} == state.generators.keys()
    assert list(state.symbolic) == ["self.simple.x[0]"]
    assert "self.simple.x" in state.tensors


def test_a_change_shows():
    layer = held()
    before = python_state(layer)
    layer.nested["a"][0]["b"].count += 1
    layer.large[7, 7] = 1.0
    next(layer.iterator)
    next(layer.counter)
    layer.rng.normal()
    after = python_state(layer)
    changed = {path for path in before.values if before.values[path] != after.values[path]}
    assert changed == {
        *("self.nested['a'][0]['b'].count", "self.large", "self.iterator", "self.counter")
    }
    assert before.generators["self.rng"] != after.generators["self.rng"]


def test_text_tells_values_apart():
    values = [None, 0, 0.0, "0", False, [0], [[0]], np.float32(0.5), np.zeros(2), {1, 2}, {1}]
    texts = [text_of(value) for value in values]
    assert len(set(texts)) == len(values)
    assert text_of(object()) is None
    assert text_of([object()]) is None
    assert text_of({2, 1}) == text_of({1, 2})
