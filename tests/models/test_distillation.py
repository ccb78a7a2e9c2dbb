"""DistillationModel: its loss beside NumPy, and its gradients beside finite differences."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.models.networks import MODES, PARAMETERS, SAMPLE_WEIGHT, X, compiled, fit, two_layers
from tfk_patterns.models import DistillationModel

LABELS = np.random.default_rng(1).integers(0, 2, size=24)
CLOSE = {"rtol": 2e-6}  # one step in float32
TEACHER = [values[::-1].copy() * 1.5 for values in PARAMETERS]
SPARSE = keras.losses.SparseCategoricalCrossentropy


def teacher_of(layers=None, weights=TEACHER):
    teacher = keras.Sequential([keras.Input((4,)), *(layers or two_layers())])
    teacher.set_weights(weights)
    return teacher


def student_of(teacher, layers=None, **arguments):
    return DistillationModel(
        [keras.Input((4,)), *(layers or two_layers())], teacher=teacher, **arguments
    )


def logits(parameters, x=X):
    first, first_bias, second, second_bias = (np.asarray(p, np.float64) for p in parameters)
    return np.tanh(x @ first + first_bias) @ second + second_bias


def softmax(values):
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def cross_entropy(student, labels, weight):
    """The mean over the samples, of logits."""
    chosen = np.take_along_axis(softmax(student), labels[..., np.newaxis], axis=-1)[..., 0]
    return np.mean(-np.log(chosen) * weight)


def divergence(teacher, student, temperature, weight):
    """The mean over the samples of KL(teacher || student), of logits."""
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    return np.mean(np.sum(p * np.log(p / q), axis=-1) * weight)


def expected_loss(parameters, temperature, alpha, weight=1.0, l2=0.0, scale=1.0):
    """Of logits; `scale` is 1 for a teacher as it is."""
    student, teacher = logits(parameters), scale * logits(TEACHER)
    return (
        alpha * cross_entropy(student, LABELS, weight)
        + (1 - alpha) * temperature**2 * divergence(teacher, student, temperature, weight)
        + l2 * sum(np.sum(np.float64(kernel) ** 2) for kernel in parameters[::2])
    )


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("temperature", [pytest.param(1.0, marks=pytest.mark.slow), 3.5])
def test_the_loss_equals_numpy(temperature, alpha):
    model = student_of(teacher_of(), temperature=temperature, alpha=alpha)
    compiled(model, loss=SPARSE(from_logits=True) if alpha else None)
    (loss,) = fit(model, y=LABELS, batch_size=24)["loss"]
    np.testing.assert_allclose(loss, expected_loss(PARAMETERS, temperature, alpha), **CLOSE)


def test_sample_weights_count_in_both_parts():
    model = compiled(student_of(teacher_of(), alpha=0.3), loss=SPARSE(from_logits=True))
    (loss,) = fit(model, y=LABELS, batch_size=24, sample_weight=SAMPLE_WEIGHT)["loss"]
    np.testing.assert_allclose(loss, expected_loss(PARAMETERS, 2.0, 0.3, SAMPLE_WEIGHT), **CLOSE)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_penalties_are_added_as_they_are(alpha):
    layers = [*two_layers(keras.regularizers.L2(0.1)), Offset()]
    model = student_of(teacher_of(), layers, alpha=alpha)
    compiled(model, loss=SPARSE(from_logits=True) if alpha else None)
    (loss,) = fit(model, y=LABELS, batch_size=24)["loss"]
    expected = expected_loss(PARAMETERS, 2.0, alpha, l2=0.1) + np.mean(logits(PARAMETERS) ** 2)
    np.testing.assert_allclose(loss, expected, **CLOSE)


class Offset(keras.layers.Layer):
    """Adds the mean square of its inputs to the loss."""

    def call(self, inputs):
        self.add_loss(tf.reduce_mean(tf.square(inputs)))
        return inputs


def test_probabilities_serve_by_their_logarithms():
    """At a temperature of 1 and others: softmax(log(softmax(z)) / t) = softmax(z / t)."""
    teacher = teacher_of([*two_layers(), keras.layers.Softmax()])
    student = student_of(
        teacher, [*two_layers(), keras.layers.Softmax()], from_logits=False, alpha=0.3
    )
    compiled(student, loss=SPARSE())
    (loss,) = fit(student, y=LABELS, batch_size=24)["loss"]
    np.testing.assert_allclose(loss, expected_loss(PARAMETERS, 2.0, 0.3), **CLOSE)


def test_the_gradients_equal_finite_differences():
    """Of the loss in NumPy, in float64. The weights are those of one step with a rate of 1."""
    layers = two_layers(keras.regularizers.L2(0.1))
    model = student_of(teacher_of(), layers, temperature=3.5, alpha=0.3)
    compiled(model, keras.optimizers.SGD(1.0), SPARSE(from_logits=True))
    fit(model, y=LABELS, batch_size=24, sample_weight=SAMPLE_WEIGHT)
    start = [values.astype("float64") for values in PARAMETERS]
    for index, after in enumerate(model.get_weights()):
        gradient = np.zeros_like(start[index])
        for place in np.ndindex(gradient.shape):
            values = []
            for step in (1e-6, -1e-6):
                moved = [array.copy() for array in start]
                moved[index][place] += step
                values.append(expected_loss(moved, 3.5, 0.3, SAMPLE_WEIGHT, l2=0.1))
            gradient[place] = (values[0] - values[1]) / 2e-6
        np.testing.assert_allclose(start[index] - after, gradient, rtol=0, atol=2e-6)


@pytest.mark.parametrize("mode", [pytest.param("eager", marks=pytest.mark.slow), "xla"])
def test_every_mode_equals_the_graph(mode):
    """XLA fuses and rounds in other places."""
    histories, weights = [], []
    for name in ("graph", mode):
        model = student_of(teacher_of())
        compiled(model, loss=SPARSE(from_logits=True), metrics=["accuracy"], **MODES[name])
        histories.append(fit(model, y=LABELS, epochs=2, validation_data=(X, LABELS)))
        weights.append(model.get_weights())
    for name, values in histories[0].items():
        rounding = 1e-5 if mode == "xla" else 0.0
        np.testing.assert_allclose(histories[1][name], values, rtol=rounding, err_msg=name)
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6 if mode == "xla" else 0.0)


def test_evaluation_does_without_the_teacher():
    model = compiled(student_of(teacher_of(), alpha=0.3), loss=SPARSE(from_logits=True))
    plain = keras.Sequential([keras.Input((4,)), *two_layers()])
    compiled(plain, loss=SPARSE(from_logits=True))
    ours, theirs = (one.evaluate(X, LABELS, verbose=0) for one in (model, plain))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(X, verbose=0), plain.predict(X, verbose=0))
