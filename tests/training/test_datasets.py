"""On one device a loop gives what `fit` gives, to the bit: kinds of data."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.training.runs import (
    SAMPLE_WEIGHT,
    X,
    Y,
    assert_equals_evaluate_and_predict,
    assert_equals_fit,
    assert_same_bits,
    batches,
    compiled,
    functional,
    seeded,
    sequential,
    state,
    subclassed,
    twins,
)

slow = pytest.mark.slow


def linear(**arguments):
    model = sequential(stack=[keras.layers.Dense(2)])
    return compiled(model, keras.optimizers.SGD(0.1), **arguments)


def without_targets():
    return compiled(functional(), loss=None, metrics=None, weighted=None)


@pytest.mark.parametrize("elements", ["x", "tuple_of_x", "x_y", "x_y_weight"])
def test_elements_of_a_dataset(elements):
    arrays = {"x_y": (X, Y), "x_y_weight": (X, Y, SAMPLE_WEIGHT)}.get(elements, (X,))

    def data():
        dataset = batches(*arrays)
        return dataset.map(lambda x: (x,)) if elements == "tuple_of_x" else dataset

    make = linear if len(arrays) > 1 else without_targets
    pair = assert_equals_fit(make, data, validation_data=data())
    assert_equals_evaluate_and_predict(*pair, data)


def two_by_two(names):
    """Two inputs and two outputs, by names or in order."""
    inputs = {name: keras.Input((4,), name=name) for name in ("left", "right")}
    hidden = keras.layers.Add()([keras.layers.Dense(5)(value) for value in inputs.values()])
    outputs = {name: keras.layers.Dense(2, name=name)(hidden) for name in ("low", "high")}
    if not names:
        inputs, outputs = list(inputs.values()), list(outputs.values())
    losses, metrics = {"low": "mse", "high": "mae"}, {"low": ["mae"], "high": ["mse"]}
    if not names:
        losses, metrics = list(losses.values()), list(metrics.values())
    model = keras.Model(inputs, outputs)
    weights = {"low": 0.5, "high": 2.0} if names else [0.5, 2.0]
    model.compile("adam", losses, metrics=metrics, loss_weights=weights)
    return model


@pytest.mark.parametrize("weighted", [False, pytest.param(True, marks=slow)])
@pytest.mark.parametrize("names", [False, True])
def test_several_inputs_and_outputs(names, weighted):
    x, y = {"left": X, "right": X**2}, {"low": Y, "high": -Y}
    weights = {"low": SAMPLE_WEIGHT, "high": SAMPLE_WEIGHT**2}
    if not names:
        x, y, weights = (tuple(value.values()) for value in (x, y, weights))
    data = functools.partial(batches, *((x, y, weights) if weighted else (x, y)))
    pair = assert_equals_fit(lambda: two_by_two(names), data, validation_data=data(rows=11))
    assert_equals_evaluate_and_predict(*pair, data)


class MeanOfRows(keras.layers.Layer):
    def call(self, inputs):
        return tf.reduce_mean(inputs, axis=1)


def test_ragged_inputs():
    """Rows of one to five vectors."""
    rows = tf.RaggedTensor.from_row_lengths(np.repeat(X, 3, axis=0), np.arange(45) % 5 + 1)

    def data():
        return tf.data.Dataset.from_tensor_slices((rows, Y)).batch(8)

    pair = assert_equals_fit(ragged_model, data)
    assert_equals_evaluate_and_predict(*pair, data)


def ragged_model():
    stack = [MeanOfRows(), keras.layers.Dense(2)]
    return compiled(subclassed(stack=stack))


def test_a_length_that_is_not_known():
    def data():
        return batches().unbatch().filter(lambda x, y, w: x[0] > -0.5).batch(8)

    def counted():  # without this, the state of dropout moves once more in `fit`, at the end
        return data().apply(tf.data.experimental.assert_cardinality(len(list(data()))))

    assert data().cardinality() == tf.data.UNKNOWN_CARDINALITY
    loop, model = twins(lambda: compiled(functional()))
    expected = model.fit(counted(), epochs=2, validation_data=counted(), verbose=0).history
    assert loop.fit(data(), epochs=2, validation_data=data(), verbose=0).history == expected
    assert_same_bits(loop.model.get_weights(), model.get_weights())
    assert_equals_evaluate_and_predict(loop, model, counted)


def endless():
    return batches().repeat()


def test_a_dataset_without_an_end():
    pair = assert_equals_fit(
        linear,
        endless,
        epochs=4,  # which begin in other places
        steps_per_epoch=5,
        validation_data=endless(),
        validation_steps=2,
    )
    assert_equals_evaluate_and_predict(*pair, endless, steps=7)


@pytest.mark.parametrize("steps_per_execution", [1, pytest.param(2, marks=slow)])
@pytest.mark.parametrize("steps", [3, 2, 6])
def test_steps_of_an_epoch_go_on_in_the_next(steps, steps_per_execution):
    """Of a dataset of six batches: once or twice through, from epoch 1 on."""
    assert_equals_fit(
        lambda: linear(steps_per_execution=steps_per_execution),
        epochs=1 + 6 // steps,
        initial_epoch=1,
        steps_per_epoch=steps,
        validation_data=batches(rows=21),
        validation_steps=2,
    )


def test_steps_of_an_epoch_go_round_the_end_of_the_data():
    """As of data without an end: there Keras 2 ends training, and Keras 3 the epoch."""
    loop, model = twins(linear)
    found = seeded(loop.fit, batches, epochs=3, steps_per_epoch=4)
    expected = seeded(model.fit, endless, epochs=3, steps_per_epoch=4)
    assert found.history == expected.history
    assert_same_bits(state(loop.model), state(model))


def test_a_second_call_starts_from_the_first_batch_again():
    loop, model = assert_equals_fit(linear, steps_per_epoch=4, epochs=1)
    assert_equals_fit(None, steps_per_epoch=4, epochs=1, pair=(loop, model))


def test_a_dataset_that_shuffles_anew_in_each_epoch():
    """In the orders in which it gives its samples; `fit` leaves some of these out."""

    def shuffled():
        keras.utils.set_random_seed(3)
        return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(45, seed=5).batch(8)

    data = shuffled()
    orders = [batches(*map(np.concatenate, zip(*data, strict=True))) for _ in range(3)]
    loop, model = twins(linear)
    found = loop.fit(shuffled(), epochs=3, verbose=0).history
    expected = [model.fit(order, verbose=0).history for order in orders]
    assert found == {name: [h[name][0] for h in expected] for name in expected[0]}
    assert_same_bits(state(loop.model), state(model))


def test_a_function_of_the_epoch():
    """As `fit` of one epoch after the other."""
    epochs = []

    def of_epoch(epoch):
        epochs.append(int(epoch))
        return batches(X, Y).skip(epoch)

    loop, model = twins(linear)
    found = loop.fit(
        of_epoch, epochs=4, initial_epoch=1, validation_data=batches(X, Y), verbose=0
    ).history
    expected = [
        model.fit(batches(X, Y).skip(n), validation_data=batches(X, Y), verbose=0).history
        for n in (1, 2, 3)
    ]
    assert found == {name: [h[name][0] for h in expected] for name in expected[0]}
    assert_same_bits(state(loop.model), state(model))
    assert sorted(set(epochs)) == [1, 2, 3]


def test_validation_data_of_a_function():
    loop, model = twins(linear)
    found = loop.fit(batches(), validation_data=lambda epoch: batches(rows=21), verbose=0)
    expected = model.fit(batches(), validation_data=batches(rows=21), verbose=0)
    assert found.history == expected.history
    assert loop.evaluate(lambda epoch: batches(), verbose=0) == model.evaluate(
        batches(), verbose=0, return_dict=True
    )
