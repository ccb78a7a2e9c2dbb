"""Right models that look suspicious to some check, none of which the harness may blame."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.parity.broken_models import CLASSES, TwoLayers, X, Y, compiled
from tests.parity.broken_models.evaluating import Normalized
from tests.parity.broken_models.logs import TAGS, TOKENS, Tagger
from tests.parity.broken_models.losses import Dropped, MeanSquare
from tests.parity.broken_models.optimizing import Scaled, scaling_sgd
from tfk_patterns import _keras
from tfk_patterns.parity import ModelCase, check_model

FIRST = tf.VariableAggregation.ONLY_FIRST_REPLICA
OF_FIRST_REPLICA = {} if _keras.GENERATION == 3 else {"aggregation": FIRST}
WEIGHTS = np.linspace(0.5, 2.0, 16).astype("float32")


class TrainsByDefault(TwoLayers):
    """Needs no `training=True` in the step: its `call` has that default."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dropout = keras.layers.Dropout(0.5, seed=1)

    def call(self, inputs, training=True):
        return self.out(self.dropout(self.hidden(inputs), training=training))

    def loss_and_outputs(self, x, y, sample_weight):
        outputs = self(x)
        return self.compute_loss(x, y, outputs, sample_weight), outputs


class Mixup(TwoLayers):
    """Mixes each sample with another by a share that it draws; targets and weights too."""

    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        share = tf.random.uniform((), 0.6, 1.0)
        x, y = (share * leaf + (1 - share) * leaf[::-1] for leaf in (x, y))
        if sample_weight is not None:
            sample_weight = share * sample_weight + (1 - share) * sample_weight[::-1]
        return super().train_step((x, y, sample_weight))


class Adversarial(TwoLayers):
    """Trains on inputs moved up the gradient, which a tape takes by what `fit` hands on."""

    def loss_and_outputs(self, x, y, sample_weight):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_mean(tf.square(y - self(x, training=True)))
        moved = x + 0.01 * tf.sign(tape.gradient(loss, x))
        return super().loss_and_outputs(tf.stop_gradient(moved), y, sample_weight)


class Annealed(MeanSquare):
    """Counts its steps in a weight, and lets a penalty fade in."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.steps_taken = self.add_weight(
            name="steps_taken", shape=(), initializer="zeros", trainable=False, **OF_FIRST_REPLICA
        )

    def added(self):
        strength = tf.minimum(1.0, tf.convert_to_tensor(self.steps_taken) / 5.0)
        return strength * super().added()

    def move(self, gradients):
        super().move(gradients)
        self.steps_taken.assign_add(1.0)


class Accumulating(TwoLayers):
    """Applies the mean of the gradients of two steps, which it keeps in weights."""

    def build(self, input_shape):
        self.hidden.build(input_shape)
        self.out.build((*input_shape[:-1], 5))
        shapes = [(4, 5), (5,), (5, 1), (1,)]
        self.steps_taken = self.add_weight(
            name="steps_taken", shape=(), dtype="int32", initializer="zeros", trainable=False
        )
        self.kept = [
            self.add_weight(name=f"kept_{n}", shape=s, initializer="zeros", trainable=False)
            for n, s in enumerate(shapes)
        ]
        self.built = True

    def move(self, gradients):
        self.optimizer.build(self.trainable_weights)
        for kept, gradient in zip(self.kept, gradients, strict=True):
            kept.assign_add(gradient / 2)
        self.steps_taken.assign_add(1)

        def apply():
            parent = super(Accumulating, self)
            parent.move([tf.convert_to_tensor(kept) for kept in self.kept])
            for kept in self.kept:
                kept.assign(tf.zeros_like(kept))

        tf.cond(tf.equal(tf.convert_to_tensor(self.steps_taken) % 2, 0), apply, lambda: None)


def functional():
    inputs = keras.Input((4,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("low", "high")}
    return keras.Model(inputs, outputs)


def classifier():
    layers = [keras.layers.Dense(5, activation="relu"), keras.layers.Dense(3, "softmax")]
    return keras.Sequential([keras.Input((4,)), *layers])


def separating():
    """Fulfils its hinge loss, but for dropout in training."""
    kernel = keras.initializers.Constant([[500.0], [0.0], [0.0], [0.0]])
    layers = [keras.layers.Dropout(0.6, seed=1), keras.layers.Dense(1, kernel_initializer=kernel)]
    return keras.Sequential([keras.Input((4,)), *layers])


def masked():
    layers = [keras.layers.Embedding(9, 4, mask_zero=True), keras.layers.Dense(1)]
    return keras.Sequential([keras.Input((5,), dtype="int32"), *layers])


def case(make, y=Y, name=None, sample_weight=None, expected_failures=None, x=X, **arguments):
    return ModelCase(
        lambda: compiled(make(), **arguments),
        x,
        y,
        sample_weight=sample_weight,
        name=name or make.__name__,
        expected_failures=expected_failures or {},
    )


NO_COND = {"replicas": "TensorFlow lets no replica apply gradients in a tf.cond"}


def fixed_scaling_sgd():
    """Keras 3 has no fixed scale: one that grows after a million steps is as good."""
    fixed = {"dynamic": False} if _keras.GENERATION == 2 else {"dynamic_growth_steps": 10**6}
    return keras.mixed_precision.LossScaleOptimizer(
        keras.optimizers.SGD(0.01), initial_scale=128.0, **fixed
    )


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
    (case(Mixup), ["sample_weight", "class_weight", "fit"]),
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
    (case(separating, np.sign(X[:, :1]), loss="hinge"), ["evaluate_predict"]),
    (case(masked, TAGS, x=TOKENS, metrics=["mae"]), ["compiled_metrics", "logged_loss"]),
    (case(Tagger, TAGS, x=TOKENS, weighted_metrics=["mae"]), ["compiled_metrics", "logged_loss"]),
    (
        case(TwoLayers, name="clipped", optimizer=lambda: keras.optimizers.Adam(clipnorm=0.1)),
        ["gradient_clipping"],
    ),
]
each = pytest.mark.parametrize(("case", "checks"), RIGHT, ids=[case.name for case, _ in RIGHT])


@each
def test_the_checks_that_might_do_not_blame_it(case, checks):
    check_model(case, checks=checks)


def test_weights_of_mixed_samples_are_skipped():
    (result,) = check_model(case(Mixup), checks=["sample_weight"]).results
    assert result.verdict == "skipped"
    assert "as Mixup does" in result.reason


@pytest.mark.slow
@each
def test_no_check_blames_it(case, checks):
    check_model(case)
