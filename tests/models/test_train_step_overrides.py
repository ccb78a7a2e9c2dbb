"""Algorithms of one's own: what they are given and what becomes of it, in NumPy float64."""

import functools
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.models.train_step_cases import (
    WEIGHTS,
    X,
    Y,
    assert_same,
    each_mode,
    functional,
    linear,
    state,
)
from tfk_patterns.layers import MetricTracking
from tfk_patterns.models import TrainStepModel

CLOSE = {"rtol": 2e-5, "atol": 1e-6}  # some float32 sums of twenty terms, and a few steps


def mse(kernel, bias, x=X, y=Y, weights=None):
    """Loss and gradients of a dense layer, in float64."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    weights = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    error = x @ kernel + bias - y
    loss = np.mean(np.mean(error**2, axis=1) * weights)
    upstream = 2 * error * weights[:, np.newaxis] / error.size
    return loss, [x.T @ upstream, upstream.sum(axis=0)]


def exact_weights(model):
    return [np.asarray(weight, np.float64) for weight in model.get_weights()]


@each_mode
def test_two_steps_by_hand(mode):
    model = linear()
    weights = exact_weights(model)
    model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"], **mode)
    losses, errors = [], []
    for _ in range(2):
        loss, gradients = mse(*weights, weights=WEIGHTS)
        losses.append(loss)
        errors.append(np.abs(X @ weights[0] + weights[1] - Y).mean())
        weights = [w - 0.1 * g for w, g in zip(weights, gradients, strict=True)]
    logs = model.fit(X, Y, 10, 2, 0, sample_weight=WEIGHTS, shuffle=False).history
    np.testing.assert_allclose(logs["loss"], losses, **CLOSE)
    np.testing.assert_allclose(logs["mae"], errors, **CLOSE)
    for found, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(found, expected, **CLOSE)


class Seen(TrainStepModel):
    """Keeps the gradients that `apply_gradients` is given."""

    def make_room(self):
        # Not as an attribute: Keras 2 would take it for weights.
        kept = [tf.Variable(tf.zeros(w.shape), trainable=False) for w in self.weights]
        self.kept = types.SimpleNamespace(variables=kept)

    def apply_gradients(self, gradients):
        for variable, gradient in zip(self.kept.variables, gradients, strict=True):
            variable.assign(gradient)
        super().apply_gradients(gradients)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_apply_gradients_sees_them_unscaled_and_unclipped(precision):
    """What float16 rounds is the model, and not the gradients' scale of 2**15."""
    model = linear(Seen, dtype=precision)
    model.make_room()
    weights = exact_weights(model)
    optimizer = keras.optimizers.SGD(0.1, clipvalue=1e-3)
    if precision == "mixed_float16":
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    model.compile(optimizer, "mse", run_eagerly=True)
    model.train_on_batch(X, Y)
    _, expected = mse(*weights)
    close = CLOSE if precision == "float32" else {"rtol": 5e-3, "atol": 1e-3}
    for found, gradient in zip(model.kept.variables, expected, strict=True):
        np.testing.assert_allclose(found.numpy(), gradient, **close)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_allclose(np.abs(before - after), 1e-4, rtol=2e-3)  # 1e-4 off numbers ~1


class Adversarial(TrainStepModel):
    """FGSM: half the loss is at inputs moved up the loss."""

    def __init__(self, *args, strength=0.1, **kwargs):
        super().__init__(*args, **kwargs)
        self.strength = strength

    def compute_gradients(self, x, y, sample_weight):
        with self.dry_run(), tf.GradientTape() as tape:
            tape.watch(x)
            loss, _ = self.forward_pass(x, y, sample_weight)
        moved = x + self.strength * tf.sign(tape.gradient(loss, x))
        clean, loss, predictions = super().compute_gradients(x, y, sample_weight)
        with self.dry_run():
            hard, hard_loss, _ = super().compute_gradients(moved, y, sample_weight)
        gradients = [(a + b) / 2 for a, b in zip(clean, hard, strict=True)]
        return gradients, (loss + hard_loss) / 2, predictions


@each_mode
def test_adversarial_inputs(mode):
    model = linear(functools.partial(Adversarial, strength=0.3))
    model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"], **mode)
    weights = exact_weights(model)
    logs = model.train_on_batch(X, Y, return_dict=True)
    upstream = (X @ weights[0] + weights[1] - Y) @ weights[0].T
    results = [mse(*weights), mse(*weights, x=X + 0.3 * np.sign(upstream))]
    np.testing.assert_allclose(logs["loss"], np.mean([loss for loss, _ in results]), **CLOSE)
    error = np.abs(X @ weights[0] + weights[1] - Y).mean()  # of the clean inputs, once
    np.testing.assert_allclose(logs["mae"], error, **CLOSE)
    for place, weight in enumerate(weights):
        mean = (results[0][1][place] + results[1][1][place]) / 2
        np.testing.assert_allclose(model.get_weights()[place], weight - 0.1 * mean, **CLOSE)


class Tracked(MetricTracking, keras.layers.Layer):
    """Has a metric, and a weight that counts its calls in training."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.declare_metric("sum", "sum")

    def build(self, input_shape):
        self.calls = self.add_weight(
            name="calls", shape=(), initializer="zeros", trainable=False, dtype="float32"
        )

    def call(self, inputs, training=None):
        self.update_metric("sum", inputs)
        if training:
            self.calls.assign_add(1.0)
        return inputs


class Twice(TrainStepModel):
    """Two passes, one of them taken back."""

    dry = True

    def compute_gradients(self, x, y, sample_weight):
        if self.dry:
            with self.dry_run():
                super().compute_gradients(x * 2, y, sample_weight)
                for weight in self.trainable_weights:
                    weight.assign_add(tf.ones_like(weight))
        return super().compute_gradients(x, y, sample_weight)


def test_a_dry_run_leaves_nothing_behind():
    """Weights, batch statistics, random state, counters, and metrics of layers."""
    found = []
    for dry in (True, False):
        keras.utils.set_random_seed(1)
        model = functional(Twice, between=[Tracked(name="seen")])
        model.dry = dry
        model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"])
        logs = model.fit(X, Y, 5, 2, 0, shuffle=False).history
        found.append({"logs": {k: np.asarray(v) for k, v in logs.items()}, **state(model)})
        assert float(model.get_layer("seen").calls.numpy()) == 4.0
    assert_same(*found)
    assert set(found[0]["logs"]) == {"loss", "mae", "seen_sum"}


class SoftLoss(TrainStepModel):
    """Another loss than the compiled one."""

    def compute_gradients(self, x, y, sample_weight):
        def loss():
            predictions = self(x, training=True)
            return 3.0 * tf.reduce_mean(tf.square(predictions - y)), predictions

        return self.differentiate(loss)


def test_the_returned_loss_is_logged_and_evaluate_logs_the_compiled_one():
    model = linear(SoftLoss)
    weights = exact_weights(model)
    expected, gradients = mse(*weights)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    logs = model.fit(X, Y, 10, 1, 0, validation_data=(X, Y)).history
    np.testing.assert_allclose(logs["loss"], [3 * expected], **CLOSE)
    for weight, gradient, after in zip(weights, gradients, model.get_weights(), strict=True):
        np.testing.assert_allclose(after, weight - 0.3 * gradient, **CLOSE)
    np.testing.assert_allclose(logs["val_loss"], [mse(*exact_weights(model))[0]], **CLOSE)


def test_a_weight_without_a_gradient_stays():
    class KernelOnly(TrainStepModel):
        def compute_gradients(self, x, y, sample_weight):
            (kernel, _), loss, predictions = super().compute_gradients(x, y, sample_weight)
            return (kernel, None), loss, predictions

    model = linear(KernelOnly)
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    model.train_on_batch(X, Y)
    np.testing.assert_array_equal(model.get_weights()[1], before[1])
    assert np.any(model.get_weights()[0] != before[0])


@pytest.mark.parametrize("dry", [True, False])
def test_losses_of_several_outputs_are_counted_once(dry):
    """A metric each, which both passes compute."""
    inputs = keras.Input((3,))
    layers = [keras.layers.Dense(2, name=name) for name in ("one", "two")]
    model = Twice(inputs, [layer(inputs) for layer in layers])
    model.dry = dry
    weights = [[np.asarray(w, np.float64) for w in layer.get_weights()] for layer in layers]
    model.compile(keras.optimizers.SGD(0.0), ["mse", "mse"], run_eagerly=True)
    logs = model.fit(X, [Y, -Y], 4, 1, 0, shuffle=False).history
    one, two = mse(*weights[0])[0], mse(*weights[1], y=-Y)[0]
    np.testing.assert_allclose(logs["one_loss"], [one], **CLOSE)
    np.testing.assert_allclose(logs["two_loss"], [two], **CLOSE)
    np.testing.assert_allclose(logs["loss"], [one + two], **CLOSE)
