"""On one device a loop gives what `fit` gives, to the bit: models and modes."""

import functools

import pytest
import tensorflow as tf
from tensorflow import keras

from tests.training.runs import (
    MODES,
    X,
    Y,
    adversaries,
    assert_equals_evaluate_and_predict,
    assert_equals_fit,
    batches,
    compiled,
    deferred,
    distilled,
    few_parts,
    functional,
    sequential,
    subclassed,
)
from tfk_patterns import models

slow = pytest.mark.slow
KINDS = {
    "functional": functional,
    "sequential": sequential,
    "subclassed": subclassed,
    "deferred": deferred,
}
QUICK = {
    ("functional", "graph"),
    ("sequential", "executions"),
    ("subclassed", "eager"),
}


def each_mode(*quick):
    return pytest.mark.parametrize(
        "mode", [pytest.param(mode, marks=() if mode in quick else slow) for mode in MODES]
    )


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        pytest.param(kind, mode, marks=() if (kind, mode) in QUICK else slow)
        for kind in KINDS
        for mode in MODES
    ],
)
def test_each_kind_of_model_in_each_mode(kind, mode):
    """With losses and metrics of layers, sample weights, validation and an incomplete batch."""
    pair = assert_equals_fit(
        lambda: compiled(KINDS[kind](), **MODES[mode]),
        epochs=3,
        initial_epoch=1,
        validation_data=batches(rows=21),
    )
    assert_equals_evaluate_and_predict(*pair)
    assert_equals_fit(None, pair=pair)  # training goes on


SAM, ACCUMULATION = models.SharpnessAwareModel, models.GradientAccumulationModel
OWN = {
    "train_step": lambda: functional(models.TrainStepModel, few_parts()),
    "sharpness": lambda: sequential(SAM, few_parts(), rho=0.2),
    "accumulation_apply": lambda: functional(ACCUMULATION, few_parts(), steps=4),
    "accumulation_carry": lambda: subclassed(
        ACCUMULATION, few_parts(), steps=4, last_group="carry"
    ),
}


@pytest.mark.parametrize(
    ("own", "mode"),
    [
        pytest.param(own, mode, marks=() if mode == quick else slow)
        for own, quick in zip(OWN, ("graph", "graph", "graph", "executions"), strict=True)
        for mode in MODES
    ],
)
def test_models_with_an_algorithm_of_their_own(own, mode):
    make = OWN[own]
    pair = assert_equals_fit(
        lambda: compiled(make(), **MODES[mode]), validation_data=batches(rows=21)
    )
    assert_equals_fit(None, pair=pair, epochs=1)


@each_mode("graph")
def test_distillation(mode):
    labels = (Y[:, 0] > 0).astype("int32")

    def make():
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return compiled(distilled(), loss=loss, metrics=["accuracy"], weighted=None, **MODES[mode])

    pair = assert_equals_fit(make, lambda: batches(X, labels))
    assert_equals_evaluate_and_predict(*pair, lambda: batches(X, labels))


@each_mode("graph")
def test_two_optimizers_and_no_call(mode):
    data = functools.partial(batches, X)
    pair = assert_equals_fit(
        lambda: adversaries(**MODES[mode]), data, validation_data=batches(X, rows=21)
    )
    loop, model = pair
    assert loop.evaluate(data(), verbose=0) == model.evaluate(data(), verbose=0, return_dict=True)


class Signs(keras.Model):
    """`train_step` of the documentation, and a `test_step` and a `predict_step` of its own."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)

    def train_step(self, data):
        x, y, _ = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self(x, training=True) - y))
        gradients = tape.gradient(loss, self.trainable_variables)
        signs = [tf.sign(gradient) for gradient in gradients]
        self.optimizer.apply_gradients(zip(signs, self.trainable_variables, strict=True))
        return {"my_loss": loss, "largest": tf.reduce_max(tf.abs(gradients[0]))}

    def test_step(self, data):
        return {"largest_output": tf.reduce_max(self(data[0]))}

    def predict_step(self, data):
        return {"twice": 2 * self(data[0])}


@each_mode("graph")
def test_steps_of_ones_own_whose_logs_are_no_metrics(mode):
    """Of a batch alone, as `fit` has them: the last one's."""

    def make():
        return compiled(Signs(), metrics=None, weighted=None, **MODES[mode])

    pair = assert_equals_fit(make, validation_data=batches(rows=21))
    assert_equals_evaluate_and_predict(*pair)


def averaging():
    return keras.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=None)


def scaled():
    return keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.1, clipnorm=0.1))


def scheduled():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)
    return keras.optimizers.SGD(schedule, momentum=0.9)


@pytest.mark.parametrize(
    "optimizer", [averaging, pytest.param(scaled, marks=slow), pytest.param(scheduled, marks=slow)]
)
def test_optimizers(optimizer):
    """Averaged weights are put in at the end."""
    assert_equals_fit(
        lambda: compiled(sequential(stack=few_parts()), optimizer(), jit_compile=True)
    )


@slow
def test_half_precision():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        assert_equals_fit(lambda: compiled(functional()))
    finally:
        keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize("change", ["compile", pytest.param("freeze", marks=slow)])
def test_what_is_changed_between_two_calls_of_fit_counts(change):
    """Frozen layers from the next `compile` on, as ever."""
    pair = assert_equals_fit(lambda: compiled(functional(stack=few_parts())), epochs=1)
    for model in (pair[0].model, pair[1]):
        model.layers[1].trainable = False
    if change == "compile":
        for model in (pair[0].model, pair[1]):
            compiled(model, keras.optimizers.SGD(0.1), "mae", metrics=None)
    assert_equals_fit(None, pair=pair, epochs=1)
    assert_equals_evaluate_and_predict(*pair)


def test_fit_goes_on_where_a_loop_ended_and_the_other_way_round():
    loop, model = assert_equals_fit(lambda: compiled(functional(stack=few_parts())), epochs=1)
    for method in (loop.model.fit, model.fit):
        method(batches(), verbose=0)
    loop, model = assert_equals_fit(None, pair=(loop, model), epochs=1)
    assert loop.model.evaluate(batches(), verbose=0) == model.evaluate(batches(), verbose=0)
