"""Two replicas train as one device does, on the same batches."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.training.runs import (
    SAMPLE_WEIGHT,
    X,
    Y,
    batches,
    compiled,
    few_parts,
    functional,
    parts,
    sequential,
    subclassed,
)
from tfk_patterns import models
from tfk_patterns.training import TrainingLoop

slow = pytest.mark.slow
ROUNDING = {"rtol": 1e-5, "atol": 2e-6}  # sums over samples in another order, in float32
HALF = {"rtol": 4e-3, "atol": 2e-3}  # float16 rounds each replica's share of a sum: 11 bits
KINDS = {"functional": functional, "sequential": sequential, "subclassed": subclassed}


def plain(statistics=False, kind=sequential, **arguments):
    return compiled(kind(stack=parts(random=False, statistics=statistics)), **arguments)


def small(**arguments):
    return compiled(sequential(stack=few_parts()), **{"weighted": None, **arguments})


def assert_equals_one_device(
    make, strategy, data=batches, close=ROUNDING, thorough=False, **arguments
):
    """The history and the state after a loop and after `fit`.

    With `thorough` of an evaluation and predictions, too, and with validation.
    """
    keras.utils.set_random_seed(1)
    one = make()
    with strategy.scope():
        keras.utils.set_random_seed(1)
        two = make()
    if one.built and two.built:
        two.set_weights(one.get_weights())
    loop = TrainingLoop(two)
    arguments = {"epochs": 2, "verbose": 0, **arguments}
    if thorough:
        arguments["validation_data"] = data(rows=21)
    keras.utils.set_random_seed(1)
    expected = one.fit(data(), **arguments).history
    keras.utils.set_random_seed(1)
    found = loop.fit(data(), **arguments).history
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, **close, err_msg=name)
    assert_close(two.get_weights(), one.get_weights(), close)
    assert_replicas_agree(two, strategy)
    if thorough:
        assert_equal_evaluation_and_prediction(loop, one, data, close)


def assert_equal_evaluation_and_prediction(loop, one, data, close):
    results = loop.evaluate(data(), verbose=0)
    expected = one.evaluate(data(), verbose=0, return_dict=True)
    assert results.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(results[name], value, **close, err_msg=name)
    assert_close(loop.predict(data(), verbose=0), one.predict(data(), verbose=0), close)
    assert_close(loop.model.get_weights(), one.get_weights(), close)


def assert_close(found, expected, close=ROUNDING):
    for ours, theirs in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, **close)


def assert_replicas_agree(model, strategy):
    for weight in model.weights:
        variable = weight if isinstance(weight, tf.Variable) else getattr(weight, "value", weight)
        values = [v.numpy() for v in strategy.experimental_local_results(variable)]
        assert len(values) == strategy.num_replicas_in_sync
        for value in values[1:]:
            np.testing.assert_array_equal(values[0], value)


CASES = [
    ("functional", {}),
    ("subclassed", {}),
    *(
        pytest.param("sequential", mode, marks=slow)
        for mode in ({}, {"steps_per_execution": 4}, {"run_eagerly": True}, {"jit_compile": True})
    ),
]


@pytest.mark.parametrize(("kind", "mode"), CASES, ids=str)
def test_losses_and_metrics_of_layers_and_sample_weights(kind, mode, two_replicas):
    assert_equals_one_device(lambda: plain(kind=KINDS[kind], **mode), two_replicas, thorough=True)


@pytest.mark.parametrize("rows", [33, pytest.param(39, marks=slow), pytest.param(1, marks=slow)])
def test_an_incomplete_last_batch(rows, two_replicas):
    """Of 1 sample, so that a replica has none, of 7; and of no other batch."""

    def data(rows=rows):
        return batches(rows=rows)

    assert_equals_one_device(plain, two_replicas, data)


def test_states_where_batches_split_evenly(two_replicas):
    def data(rows=40):
        return batches(rows=rows)

    def make():
        return plain(statistics=True)

    assert_equals_one_device(make, two_replicas, data)


@pytest.mark.parametrize("synchronized", [False, True])
def test_a_last_batch_of_one_leaves_statistics_finite(synchronized, two_replicas):
    with two_replicas.scope():
        layer = keras.layers.BatchNormalization(synchronized=synchronized)
        model = compiled(sequential(stack=[layer, keras.layers.Dense(2)]))
    history = TrainingLoop(model).fit(batches(rows=33), epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    for weight in model.get_weights():
        assert np.isfinite(weight).all()


class MeanLoss(keras.layers.Layer):
    """Adds a mean that divides by the number of samples."""

    def call(self, inputs):
        self.add_loss(tf.reduce_mean(tf.square(inputs)))
        return inputs


@pytest.mark.parametrize("rows", [33, pytest.param(45, marks=slow)])
def test_a_loss_of_a_layer_that_is_a_mean_over_samples(rows, two_replicas):
    """A share that has no samples has no mean."""

    def make():
        stack = [keras.layers.Dense(3), MeanLoss(), keras.layers.Dense(2)]
        return compiled(sequential(stack=stack))

    assert_equals_one_device(make, two_replicas, lambda rows=rows: batches(rows=rows))


OPTIMIZERS = {
    "clipnorm": lambda: keras.optimizers.SGD(0.1, clipnorm=0.1),
    "global_clipnorm": lambda: keras.optimizers.SGD(0.1, global_clipnorm=0.1),
    "clipvalue": lambda: keras.optimizers.SGD(0.1, clipvalue=0.01),
    "average": lambda: keras.optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=4),
    "decay": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
}


@pytest.mark.parametrize(
    "name", ["clipnorm", *(pytest.param(n, marks=slow) for n in list(OPTIMIZERS)[1:])]
)
def test_optimizers(name, two_replicas):
    assert_equals_one_device(lambda: small(optimizer=OPTIMIZERS[name]()), two_replicas)


@pytest.fixture
def float16():
    keras.mixed_precision.set_global_policy("mixed_float16")
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.mark.usefixtures("float16")
def test_half_precision(two_replicas):
    optimizer = keras.mixed_precision.LossScaleOptimizer

    def make():
        return small(optimizer=optimizer(keras.optimizers.SGD(0.1)))

    assert_equals_one_device(make, two_replicas, close=HALF)


@pytest.mark.parametrize("row", [0, 7], ids=["first", "second"])
@pytest.mark.usefixtures("float16")
def test_an_infinity_on_one_replica_skips_the_step_on_both(row, two_replicas):
    x = X[:8].copy()
    x[row] = 1e30  # infinite in float16
    with two_replicas.scope():
        inner = keras.optimizers.SGD(0.1)
        optimizer = keras.mixed_precision.LossScaleOptimizer(inner)
        model = compiled(sequential(stack=[keras.layers.Dense(2)]), optimizer)
    before = model.get_weights()
    TrainingLoop(model).fit(batches(x, Y[:8]), verbose=0)
    assert_close(model.get_weights(), before, {"rtol": 0})
    assert_replicas_agree(model, two_replicas)


def total(rate=0.01):
    loss = keras.losses.MeanSquaredError(reduction="sum")
    return small(optimizer=keras.optimizers.SGD(rate), loss=loss)


@pytest.mark.parametrize("rows", [45, pytest.param(40, marks=slow), pytest.param(33, marks=slow)])
def test_losses_that_are_sums(rows, two_replicas):
    """Logged as on one device, too; with losses of layers, which are not."""
    assert_equals_one_device(total, two_replicas, lambda rows=rows: batches(rows=rows))


@slow
def test_a_loss_that_is_a_sum_besides_a_mean(two_replicas):
    def make():
        inputs = keras.Input((4,))
        outputs = [keras.layers.Dense(2, name=name)(inputs) for name in ("one", "two")]
        model = keras.Model(inputs, outputs)
        losses = [keras.losses.MeanSquaredError(reduction="sum"), "mse"]
        model.compile(keras.optimizers.SGD(0.01), losses)
        return model

    def data(rows=45):
        return batches(X, (Y, Y), rows=rows)

    assert_equals_one_device(make, two_replicas, data)


OWN = {
    "train_step": (models.TrainStepModel, {}),
    "sharpness": (models.SharpnessAwareModel, {"rho": 0.2}),
    "accumulation": (models.GradientAccumulationModel, {"steps": 4}),
    "carry": (models.GradientAccumulationModel, {"steps": 4, "last_group": "carry"}),
}


@pytest.mark.parametrize(
    "own", [pytest.param(own, marks=() if own == "sharpness" else slow) for own in OWN]
)
def test_models_with_an_algorithm_of_their_own(own, two_replicas):
    cls, arguments = OWN[own]

    def make():
        return compiled(sequential(cls, few_parts(), **arguments))

    assert_equals_one_device(make, two_replicas)


@pytest.mark.parametrize("steps", [None, 5])
def test_a_dataset_that_is_distributed_already(steps, two_replicas):
    """As `fit` on one device; with the steps of an epoch, too, which Keras 2 must be told."""

    def make():
        return compiled(sequential(stack=[keras.layers.Dense(2)]))

    one = make()
    with two_replicas.scope():
        loop = TrainingLoop(make())
    loop.model.set_weights(one.get_weights())
    data = two_replicas.experimental_distribute_dataset(batches(rows=40))
    found = loop.fit(data, epochs=2, steps_per_epoch=steps, verbose=0).history
    expected = one.fit(batches(rows=40), epochs=2, verbose=0).history
    assert_close(found, expected)
    assert_close(loop.model.get_weights(), one.get_weights())
    assert_close(
        loop.evaluate(data, verbose=0), one.evaluate(batches(rows=40), verbose=0, return_dict=True)
    )


def test_shares_differ_by_a_sample_at_most(two_replicas):
    sizes = []

    class Sizes(keras.layers.Layer):
        def call(self, inputs):
            tf.py_function(lambda n: sizes.append(int(n)), [tf.shape(inputs)[0]], [])
            return inputs

    with two_replicas.scope():
        model = sequential(stack=[Sizes(), keras.layers.Dense(2)])
        model = compiled(model, jit_compile=False)
    TrainingLoop(model).fit(batches(X, Y, size=9, rows=30), verbose=0)
    assert sorted(sizes[-8:]) == [1, 2, 4, 4, 4, 5, 5, 5]


@pytest.mark.parametrize("kind", [sequential, subclassed])
def test_variables_are_made_by_the_first_call_of(kind, two_replicas):
    """`predict` of a model that is not built, too."""
    with two_replicas.scope():
        loop = TrainingLoop(plain(kind=kind))
    predictions = loop.predict(batches(rows=21), verbose=0)
    assert predictions.shape == (21, 2)
    assert_close(predictions, loop.model(X[:21]).numpy())
    loop.evaluate(batches(X, Y, SAMPLE_WEIGHT), verbose=0)
    assert_replicas_agree(loop.model, two_replicas)
