"""No right model is blamed."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.parity.broken_models import CLASSES, TwoLayers, X, Y, compiled
from tests.parity.broken_models.evaluating import Normalized
from tests.parity.broken_models.logs import TAGS, TOKENS, Tagger
from tests.parity.broken_models.losses import Dropped, MeanSquare
from tests.parity.broken_models.optimizing import Scaled, scaling_sgd
from tests.parity.right_models import (
    Accumulating,
    Adversarial,
    Annealed,
    Denoising,
    DoublesThePenalty,
    LogsTheTask,
    Mixup,
    TrainsByDefault,
    classifier,
    embedded,
    fixed_scaling_sgd,
    functional,
    masked,
    scored,
    separating,
)
from tests.parity.right_on_one_device import Contrastive, LogsItsGradient, Momentum, Retrieval
from tfk_patterns.parity import ModelCase, check_model

WEIGHTS = np.linspace(0.5, 2.0, 16).astype("float32")


def case(make, y=Y, name=None, sample_weight=None, expected_failures=None, x=X, **arguments):
    return ModelCase(
        lambda: compiled(make(), **arguments),
        x,
        y,
        sample_weight=sample_weight,
        name=name or make.__name__,
        expected_failures=expected_failures or {},
    )


NOT_BUILT = {"resume": "Keras builds the loaded optimizer for all trainable weights"}
NO_COND = {"replicas": "TensorFlow lets no replica apply gradients in a tf.cond"}


# Each with the checks to which it looks suspicious.
RIGHT = [
    (case(TwoLayers, metrics=["mae"]), ["fit", "compiled_metrics", "batch_methods"]),
    (case(MeanSquare), ["extra_losses", "sample_weight", "evaluate_predict", "replicas"]),
    (case(Dropped), ["fit", "sample_weight", "evaluate_predict"]),
    (case(Normalized), ["fit", "evaluate_predict", "replicas"]),
    (case(TrainsByDefault), ["fit", "evaluate_predict"]),
    (case(Scaled, optimizer=scaling_sgd), ["loss_scaling", "logged_loss", "resume"]),
    (
        case(Scaled, name="fixed_scale", optimizer=fixed_scaling_sgd),
        ["loss_scaling", "logged_loss", "resume"],
    ),
    (case(Denoising), ["evaluate_predict", "resume"]),
    (case(Mixup), ["sample_weight", "class_weight", "fit"]),
    (case(Contrastive, None, loss=None), ["replicas", "evaluate_predict"]),
    (case(Retrieval, None, loss=None), ["evaluate_predict", "replicas"]),
    (
        case(
            Momentum,
            None,
            loss=None,
            optimizer=lambda: keras.optimizers.Adam(clipnorm=0.1),
            expected_failures=NOT_BUILT,
        ),
        ["gradient_clipping"],
    ),
    (case(DoublesThePenalty), ["extra_losses"]),
    (case(LogsTheTask), ["logged_loss"]),
    (case(LogsItsGradient), ["replicas"]),
    (case(Mixup, metrics=["mae"], name="mixed_metrics"), ["compiled_metrics"]),
    (case(Adversarial), ["batch_methods", "logged_loss"]),
    (case(Annealed), ["fit", "extra_losses", "resume", "replicas"]),
    (case(Accumulating, expected_failures=NO_COND), ["fit", "resume"]),
    (case(functional, {"low": Y, "high": -Y}, loss={"low": "mse", "high": "mae"}), ["logged_loss"]),
    (
        case(TwoLayers, sample_weight=WEIGHTS, name="weighted", weighted_metrics=["mae"]),
        ["compiled_metrics", "sample_weight"],
    ),
    (
        case(classifier, CLASSES, loss="sparse_categorical_crossentropy", metrics=["accuracy"]),
        ["class_weight", "compiled_metrics"],
    ),
    (
        ModelCase(scored, X, np.eye(3, dtype="float32")[CLASSES]),
        ["compiled_metrics", "evaluate_predict", "batch_methods"],
    ),
    (
        case(TwoLayers, name="merged_steps", metrics=["mae"], steps_per_execution=2),
        ["logged_loss", "compiled_metrics", "batch_methods"],
    ),
    (
        case(
            MeanSquare,
            10 * Y[:13],
            x=X[:13],
            name="uneven_merged_steps",
            steps_per_execution=2,
        ),
        ["logged_loss", "batch_methods"],
    ),
    (case(separating, np.sign(X[:, :1]), loss="hinge"), ["evaluate_predict", "sample_weight"]),
    (case(masked, TAGS, x=TOKENS, metrics=["mae"]), ["compiled_metrics", "replicas"]),
    (case(Tagger, TAGS, x=TOKENS, weighted_metrics=["mae"]), ["compiled_metrics", "replicas"]),
    (
        case(embedded, name="rows", x=TOKENS, optimizer=lambda: keras.optimizers.Adam(0.1)),
        ["replicas"],
    ),
    (
        case(TwoLayers, name="clipped", optimizer=lambda: keras.optimizers.Adam(clipnorm=0.1)),
        ["gradient_clipping"],
    ),
]
each = pytest.mark.parametrize(("case", "checks"), RIGHT, ids=[case.name for case, _ in RIGHT])
QUICK = {"TwoLayers", "MeanSquare", "classifier", "clipped"}


@pytest.mark.parametrize(
    ("case", "checks"),
    [
        pytest.param(
            *found, id=found[0].name, marks=[pytest.mark.slow] * (found[0].name not in QUICK)
        )
        for found in RIGHT
    ],
)
def test_the_checks_that_might_do_not_blame_it(case, checks):
    check_model(case, checks=checks)


@pytest.mark.slow
def test_weights_of_mixed_samples_are_skipped():
    (result,) = check_model(case(Mixup), checks=["sample_weight"]).results
    assert result.verdict == "skipped"
    assert "as Mixup does" in result.reason


class FadesIn(keras.layers.Layer):
    """A penalty that is nothing in the first step."""

    def build(self, input_shape):
        self.count = self.add_weight(name="count", shape=(), initializer="zeros", trainable=False)
        self.built = True

    def call(self, inputs, training=None):
        self.add_loss(self.count * tf.reduce_mean(tf.square(inputs)))
        if training:
            self.count.assign_add(1.0)
        return inputs


def test_a_loss_that_fades_in_is_not_overlooked():
    def fading():
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(1), FadesIn()])

    (result,) = check_model(case(fading), checks=["extra_losses"]).results
    assert result.verdict == "passed"


def test_a_loss_of_zero_weighs_nothing():
    def fulfilled():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        model.layers[0].kernel.assign([[90.0], [0.0], [0.0], [0.0]])
        return model

    signs = case(fulfilled, np.sign(X[:, :1]), x=np.sign(X), loss="hinge")
    (result,) = check_model(signs, checks=["sample_weight"]).results
    assert result.verdict == "skipped"


@pytest.mark.slow
@each
def test_no_check_blames_it(case, checks):
    check_model(case)
