"""Two replicas train as one device does, of the same code."""

import contextlib
import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.models.test_train_step_overrides import Adversarial, Seen, exact_weights, mse
from tests.models.train_step_cases import KERAS3, dense, linear, state
from tfk_patterns.models import TrainStepModel

CLOSE = {"rtol": 2e-5, "atol": 2e-6}  # the same float32 terms, added in another order
_DRAWS = np.random.default_rng(3)
X = _DRAWS.normal(size=(21, 3)).astype("float32")
Y = _DRAWS.normal(size=(21, 2)).astype("float32")


def batches(size, rows=21, *more):
    """Batches of 8, 8 and 5 are shared as 4 + 4 and 3 + 2."""
    arrays = (X[:rows], Y[:rows], *(array[:rows] for array in more))
    return tf.data.Dataset.from_tensor_slices(arrays).batch(size)


def two_layers(base):
    inputs = keras.Input((3,))
    return base(inputs, dense(2, 2)(dense(4, 1, activation="tanh")(inputs)))


def run(make, compiling, data, strategy=None, epochs=2):
    """The logs and the state after training, on one device or more."""
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = make()
        model.compile(**compiling())
        logs = model.fit(data, epochs=epochs, shuffle=False, verbose=0).history
    return model, logs


def assert_equal(make, compiling, data, strategy, close=CLOSE, epochs=2):
    one, logs = run(make, compiling, data, epochs=epochs)
    two, shared_logs = run(make, compiling, data, strategy, epochs)
    assert list(shared_logs) == list(logs)
    for name, values in logs.items():
        np.testing.assert_allclose(shared_logs[name], values, **close, err_msg=name)
    for found, expected in zip(two.get_weights(), one.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, **close)
    assert state(two)["iterations"] == state(one)["iterations"]
    for weight in two.weights:
        variable = weight.value if KERAS3 else weight
        first, second = two_replicas_values(strategy, variable)
        np.testing.assert_array_equal(first, second)
    return one, logs


def two_replicas_values(strategy, variable):
    return [value.numpy() for value in strategy.experimental_local_results(variable)]


@pytest.mark.parametrize(
    "rows", [pytest.param(16, marks=pytest.mark.slow), 21, pytest.param(17, marks=pytest.mark.slow)]
)
def test_shares_of_a_batch(rows, two_replicas):
    """The last batch is shared as 4 + 4, as 3 + 2, or as 1 + 0."""

    def compiling():
        return {"optimizer": keras.optimizers.SGD(0.1), "loss": "mse", "metrics": ["mae"]}

    make = functools.partial(two_layers, TrainStepModel)
    assert_equal(make, compiling, batches(8, rows), two_replicas)


@pytest.mark.parametrize(
    "clipping",
    [
        {"global_clipnorm": 0.1},
        pytest.param({"clipnorm": 0.05}, marks=pytest.mark.slow),
        pytest.param({"clipvalue": 0.02}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_clipping(clipping, two_replicas):
    def compiling():
        return {"optimizer": keras.optimizers.SGD(0.1, **clipping), "loss": "mse"}

    assert_equal(linear, compiling, batches(8), two_replicas)


@pytest.mark.slow
def test_mixed_precision(two_replicas):
    """float16 rounds each replica's share of a sum for itself: 11 bits."""
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:

        def compiling():
            return {"optimizer": keras.optimizers.SGD(0.1), "loss": "mse"}

        make = functools.partial(two_layers, TrainStepModel)
        close = {"rtol": 4e-3, "atol": 2e-3}
        assert_equal(make, compiling, batches(8), two_replicas, close)
    finally:
        keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize("row", [0, 7], ids=["first", "second"])
def test_an_infinity_on_one_replica_skips_the_step_on_both(row, two_replicas):
    x = X[:16].copy()
    x[row] = 1e30  # infinite in float16

    def compiling():
        optimizer = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.1))
        return {"optimizer": optimizer, "loss": "mse"}

    def one_batch(values):
        return tf.data.Dataset.from_tensor_slices((values, Y[: len(values)])).batch(8)

    make = functools.partial(linear, dtype="mixed_float16")
    skipped, _ = run(make, compiling, one_batch(x[:8]), two_replicas, epochs=1)
    for found, expected in zip(skipped.get_weights(), make().get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    scale = skipped.optimizer.dynamic_scale if KERAS3 else skipped.optimizer.loss_scale
    assert float(tf.convert_to_tensor(scale)) == 2.0**14  # half of the one at the start


@pytest.mark.slow
@pytest.mark.parametrize("rows", [pytest.param(16, marks=pytest.mark.slow), 21])
def test_losses_that_are_sums(rows, two_replicas):
    """A sum over the samples of each replica is what Keras adds up to no mean.

    The replicas count alike, and each one's sum is logged.
    """

    def compiling():
        loss = keras.losses.MeanSquaredError(reduction="sum")
        return {"optimizer": keras.optimizers.SGD(0.01), "loss": loss}

    make = functools.partial(two_layers, TrainStepModel)
    model, logs = run(make, compiling, batches(8, rows), two_replicas, epochs=1)
    plain, plain_logs = run(
        functools.partial(two_layers, keras.Model), compiling, batches(8, rows), two_replicas, 1
    )
    for found, expected in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, **CLOSE)
    if rows == 16:
        np.testing.assert_allclose(logs["loss"], plain_logs["loss"], **CLOSE)


@pytest.mark.slow
def test_sample_weights_and_losses_of_layers(two_replicas):
    def make():
        inputs = keras.Input((3,))
        regularizer = keras.regularizers.L2(0.1)
        return TrainStepModel(inputs, dense(2, 2, kernel_regularizer=regularizer)(inputs))

    def compiling():
        return {
            "optimizer": keras.optimizers.Adam(0.05),
            "loss": "mse",
            "weighted_metrics": ["mae"],
        }

    weights = _DRAWS.uniform(0.5, 2.0, size=21).astype("float32")
    assert_equal(make, compiling, batches(8, 21, weights), two_replicas)


@pytest.mark.slow
def test_sparse_gradients(two_replicas):
    """SGD: Keras 3's other optimizers take repeated rows one by one (docs/findings.md)."""

    def make():
        inputs = keras.Input((4,), dtype="int32")
        start = keras.initializers.RandomNormal(seed=1)
        x = keras.layers.Embedding(6, 3, embeddings_initializer=start)(inputs)
        return TrainStepModel(inputs, dense(2, 1)(keras.layers.Flatten()(x)))

    def compiling():
        return {"optimizer": keras.optimizers.SGD(0.1), "loss": "mse"}

    ids = _DRAWS.integers(0, 5, size=(21, 4)).astype("int32")
    data = tf.data.Dataset.from_tensor_slices((ids, Y)).batch(8)
    assert_equal(make, compiling, data, two_replicas)


@pytest.mark.slow
def test_an_algorithm_of_ones_own(two_replicas):
    def compiling():
        return {"optimizer": keras.optimizers.SGD(0.1), "loss": "mse", "metrics": ["mae"]}

    make = functools.partial(linear, functools.partial(Adversarial, strength=0.3))
    assert_equal(make, compiling, batches(8), two_replicas)


def test_apply_gradients_sees_those_of_the_whole_batch(two_replicas):
    """Of the last one, of 3 + 2 samples: in float64, at weights that stay."""

    def compiling():
        return {"optimizer": keras.optimizers.SGD(0.0, clipvalue=1e-3), "loss": "mse"}

    with two_replicas.scope():
        model = linear(Seen)
        model.make_room()
    _, expected = mse(*exact_weights(model), X[16:], Y[16:])
    with two_replicas.scope():
        model.compile(**compiling())
        logs = model.fit(batches(8), epochs=1, verbose=0).history
    loss, _ = mse(*exact_weights(model), X, Y)
    np.testing.assert_allclose(logs["loss"], [loss], **CLOSE)
    for variable, gradient in zip(model.kept.variables, expected, strict=True):
        for value in two_replicas_values(two_replicas, variable):
            np.testing.assert_allclose(value, gradient, **CLOSE)
