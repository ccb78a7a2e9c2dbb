"""`predict` of a loop: the outputs of all samples, in their order and structure."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.training.runs import X, Y, assert_same_bits, batches, compiled, sequential, twins
from tfk_patterns.training import TrainingLoop

slow = pytest.mark.slow
each_place = pytest.mark.parametrize("place", ["one", "two"])
NUMBERS = np.arange(45, dtype="float32")[:, np.newaxis]


@pytest.fixture
def strategy(place, two_replicas):
    return two_replicas if place == "two" else tf.distribute.get_strategy()


def loop_of(strategy, make):
    with strategy.scope():
        model = make()
        model.compile("sgd", "mse")
    return TrainingLoop(model)


def identity():
    return keras.Sequential([keras.Input((1,)), keras.layers.Activation("linear")])


@each_place
@pytest.mark.parametrize(
    ("rows", "size"),
    [(45, 8), (33, 8), *(pytest.param(*case, marks=slow) for case in ((1, 1), (45, 45), (3, 1)))],
)
def test_the_order_of_the_rows(rows, size, strategy):
    loop = loop_of(strategy, identity)
    data = batches(NUMBERS, size=size, rows=rows)
    np.testing.assert_array_equal(loop.predict(data, verbose=0), NUMBERS[:rows])
    assert isinstance(loop.predict(data, verbose=0), np.ndarray)


@each_place
def test_the_first_steps(strategy):
    loop = loop_of(strategy, identity)
    found = loop.predict(batches(NUMBERS).repeat(), steps=7, verbose=0)
    np.testing.assert_array_equal(found, np.concatenate([NUMBERS, NUMBERS[:8]]))


class Outputs(keras.Model):
    """Its outputs in a structure."""

    def __init__(self, structure):
        super().__init__()
        self.structure = structure

    def call(self, inputs):
        return {
            "list": [inputs, inputs + 1],
            "tuple": (inputs, inputs + 1),
            "one": [inputs],
            "dict": {"b": inputs, "a": inputs + 1},
            "nested": {"x": [inputs, (inputs + 1, inputs + 2)]},
            "integers": tf.cast(inputs, tf.int32),
        }[self.structure]


@each_place
@pytest.mark.parametrize("structure", ["list", "tuple", "one", "dict", "nested", "integers"])
def test_structures_of_outputs(structure, strategy):
    """Of `predict` of the model on one device, of the last batch of five samples too."""
    expected = Outputs(structure)
    expected.compile("sgd", "mse")
    loop = loop_of(strategy, lambda: Outputs(structure))
    found = loop.predict(batches(NUMBERS), verbose=0)
    expected = expected.predict(batches(NUMBERS), verbose=0)
    assert_same_bits(found, expected)
    for ours, theirs in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        assert type(ours) is type(theirs)
        assert ours.dtype == theirs.dtype


class Ragged(keras.Model):
    """As many numbers of each sample as it says."""

    def predict_step(self, data):
        lengths = tf.cast(data[:, 0], tf.int32) % 3
        return tf.RaggedTensor.from_row_lengths(tf.range(tf.reduce_sum(lengths)), lengths)


@each_place
def test_ragged_outputs(strategy):
    model = loop_of(strategy, Ragged)
    found = model.predict(batches(NUMBERS), verbose=0)
    np.testing.assert_array_equal(found.row_lengths(), np.arange(45) % 3)


def test_elements_with_targets_and_weights():
    """Which are left aside."""
    loop, model = twins(lambda: compiled(sequential(stack=[keras.layers.Dense(2)])))
    expected = model.predict(batches(X), verbose=0)
    for data in (batches(X), batches(X, Y), batches(), batches(X).map(lambda x: (x,))):
        assert_same_bits(loop.predict(data, verbose=0), expected)


class Counting(keras.Model):
    """Counts how often its `call` is traced."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.traces = 0

    def call(self, inputs):
        self.traces += 1
        return self.dense(inputs)


@pytest.mark.parametrize("place", ["one", pytest.param("two", marks=slow)])
def test_a_second_call_traces_nothing(strategy):
    """Of other datasets of the same structure, after an incomplete batch."""
    loop = loop_of(strategy, Counting)

    def all_methods(rows):
        data = batches(NUMBERS, NUMBERS, rows=rows)
        loop.fit(data, epochs=2, validation_data=data, verbose=0)
        loop.evaluate(data, verbose=0)
        loop.evaluate(data, steps=2, verbose=0)
        loop.predict(data, verbose=0)

    all_methods(45)
    before = loop.model.traces
    assert before > 0
    for rows in (45, 32, 9):
        all_methods(rows)
    assert loop.model.traces == before
