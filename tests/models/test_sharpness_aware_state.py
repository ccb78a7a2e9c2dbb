"""SharpnessAwareModel: what must move, be drawn or be counted once in a step, though it has two."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.models.networks import (
    MODES,
    PARAMETERS,
    X,
    Y,
    assert_close_weights,
    assert_equal_weights,
    compiled,
    fit,
    functional,
    two_layers,
)
from tfk_patterns import _keras, layers
from tfk_patterns.models import SharpnessAwareModel

IDS = np.random.default_rng(1).integers(0, 9, size=(24, 3)).astype("int32")
NO_STEP = 1e-6  # a `rho` so small that both gradients are one, and a step is a plain one
ROUNDING = 1e-5  # of that


@pytest.fixture
def float16():
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_float16")
    yield
    keras.mixed_precision.set_global_policy(before)


def beside_plain(layers_of, rate=0.1, **arguments):
    """A model with both gradients, and one of Keras, from the same weights and random state."""
    made = []
    for cls in (SharpnessAwareModel, keras.Model):
        keras.utils.set_random_seed(0)
        optimizer = keras.optimizers.SGD(rate)
        own = {"rho": arguments["rho"]} if cls is SharpnessAwareModel else {}
        made.append(compiled(functional(cls, layers_of(), **own), optimizer))
    return made


def normalized():
    first, last = two_layers()
    return [first, keras.layers.BatchNormalization(momentum=0.7), last]


def block():
    first, last = two_layers()
    return [first, layers.BatchNormDropout("tanh", rate=0.5, momentum=0.7, seed=1), last]


def dropped():
    first, last = two_layers()
    return [first, keras.layers.Dropout(0.5, seed=1), last]


@pytest.mark.parametrize("make", [normalized, block], ids=["batch_norm", "batch_norm_dropout"])
def test_statistics_move_once(make):
    """By the first pass, which sees the weights themselves."""
    ours, plain = beside_plain(make, rate=0.0, rho=0.7)
    before = [np.array(weight) for weight in ours.non_trainable_weights]
    for model in (ours, plain):
        fit(model)
    assert_equal_weights(ours, plain)
    moved = [
        (a != np.array(b)).any() for a, b in zip(before, ours.non_trainable_weights, strict=True)
    ]
    assert all(moved)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(
            dropped,
            marks=pytest.mark.skipif(
                _keras.GENERATION == 2, reason="Dropout of Keras 2 keeps its state in TensorFlow"
            ),
        ),
        block,
    ],
    ids=["dropout", "batch_norm_dropout"],
)
def test_random_layers_draw_the_same_twice(make):
    """Else the second gradient, so near by, would be another one."""
    ours, plain = beside_plain(make, rho=NO_STEP)
    for model in (ours, plain):
        fit(model, epochs=2)
    assert_close_weights(ours, plain, ROUNDING)


def two_outputs(cls, mode, **arguments):
    inputs = keras.Input((4,))
    monitor = layers.ActivationMonitor(name="seen")
    hidden = keras.layers.BatchNormalization()(monitor(two_layers()[0](inputs)))
    outputs = {name: keras.layers.Dense(2, name=name)(hidden) for name in ("low", "high")}
    model = cls(inputs, outputs, **arguments)
    losses = {"low": "mse", "high": keras.losses.Huber()}
    metrics = {"low": ["mae"], "high": ["mse"]}
    return compiled(model, keras.optimizers.SGD(0.0), losses, metrics=metrics, **MODES[mode])


@pytest.mark.parametrize("mode", [pytest.param("graph", marks=pytest.mark.slow), "eager"])
def test_logs_are_of_the_first_pass_and_counted_once(mode):
    targets = {"low": Y, "high": Y + 1}
    histories = []
    for cls, own in ((SharpnessAwareModel, {"rho": 0.7}), (keras.Model, {})):
        keras.utils.set_random_seed(0)
        model = two_outputs(cls, mode, **own)
        histories.append(fit(model, y=targets, validation_data=(X, targets), epochs=2))
    ours, plain = histories
    assert ours.keys() == plain.keys()
    assert {"low_loss", "high_loss", "low_mae", "seen_mean", "val_loss"} <= ours.keys()
    for name, values in plain.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-6, err_msg=name)


def test_a_sum_over_an_epoch_is_of_each_sample_once():
    class Counted(layers.MetricTracking, keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.declare_metric("samples", "sum")

        def call(self, inputs):
            self.update_metric("samples", tf.ones_like(inputs[:, 0]))
            return inputs

    model = compiled(functional(SharpnessAwareModel, [Counted(name="counted"), *two_layers()]))
    assert fit(model, epochs=2)["counted_samples"] == [24.0, 24.0]


@pytest.mark.parametrize(
    "adaptive", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["sam", "asam"]
)
@pytest.mark.usefixtures("float16")
def test_an_overflow_in_the_first_pass_skips_the_step(adaptive):
    model = functional(SharpnessAwareModel, two_layers(), rho=0.3, adaptive=adaptive)
    optimizer = keras.mixed_precision.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=2.0**20
    )
    compiled(model, optimizer)
    fit(model, batch_size=24)
    assert_equal_weights(model, PARAMETERS)
    assert scale_of(model.optimizer) == 2.0**19
    fit(model, batch_size=24, epochs=12)  # by then the scale is small enough
    for weight, start in zip(model.get_weights(), PARAMETERS, strict=True):
        assert np.isfinite(weight).all()
        assert (weight != start).any()


def scale_of(optimizer):
    scaled = optimizer.scale_loss if _keras.GENERATION == 3 else optimizer.get_scaled_loss
    return float(scaled(tf.constant(1.0)))


@pytest.mark.parametrize(
    "adaptive", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["sam", "asam"]
)
def test_an_embedding_equals_a_dense_layer_on_its_ids_as_vectors(adaptive):
    """Whose gradients are dense. The ids of a batch repeat."""
    table = np.random.default_rng(2).normal(size=(9, 4)).astype("float32")
    own = {"rho": 0.3, "adaptive": adaptive}
    head = [keras.layers.Flatten, lambda: keras.layers.Dense(2)]
    weights = [table, np.ones((12, 2), "float32") / 9, np.zeros(2, "float32")]
    trained = []
    for first, shape, x in (
        (keras.layers.Embedding(9, 4), (3,), IDS),
        (keras.layers.Dense(4, use_bias=False), (3, 9), np.eye(9, dtype="float32")[IDS]),
    ):
        parts = [keras.Input(shape), first, *(make() for make in head)]
        model = SharpnessAwareModel(parts, **own)
        fit(compiled(model, weights=weights), x=x)
        trained.append(model)
    assert_close_weights(*trained, ROUNDING)


class Idle(SharpnessAwareModel):
    """Has a weight that does not touch the loss."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = two_layers()

    def build(self, input_shape):
        self.idle = self.add_weight(name="idle", shape=(3,), initializer="ones")
        self.parts[0].build(input_shape)
        self.parts[1].build((*input_shape[:-1], 5))
        self.built = True

    def call(self, inputs):
        return self.parts[1](self.parts[0](inputs))


@pytest.mark.parametrize("on_two", [False, True], ids=["one", "two"])
@pytest.mark.filterwarnings("ignore:The following gradients are missing", "ignore:Gradients do not")
def test_a_weight_without_a_gradient_stays(on_two, request):
    strategy = request.getfixturevalue("two_replicas") if on_two else None
    with strategy.scope() if on_two else contextlib.nullcontext():
        model = Idle(rho=0.3)
        model.build((None, 4))
        idle = next(i for i, weight in enumerate(model.weights) if weight.shape == (3,))
        compiled(model)
    fit(model)
    other = compiled(functional(SharpnessAwareModel, two_layers(), rho=0.3))
    fit(other)
    weights = model.get_weights()
    np.testing.assert_array_equal(weights.pop(idle), np.ones(3))
    assert_close_weights(weights, other, 1e-6 if on_two else 0.0)
