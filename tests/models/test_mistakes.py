"""What users get wrong at first: an error that says so, and no word where they are right."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.models import (
    DistillationModel,
    GradientAccumulationModel,
    SharpnessAwareModel,
    TrainStepModel,
)

X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
Y = np.sin(np.arange(24, dtype="float32")).reshape(12, 2)
LABELS = np.arange(12) % 2


def network():
    inputs = keras.Input((4,))
    return inputs, keras.layers.Dense(2)(keras.layers.Dense(5)(inputs))


def fit(model, x=X, y=Y, loss="mse", optimizer="sgd"):
    model.compile(optimizer, loss)
    return model.fit(x, y, batch_size=4, verbose=0)


def wrong(change):
    """A model whose gradients are changed before they are returned."""

    class Wrong(TrainStepModel):
        def compute_gradients(self, x, y, sample_weight):
            gradients, loss, predictions = super().compute_gradients(x, y, sample_weight)
            return change(self, gradients), loss, predictions

    return Wrong(*network())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda model, gradients: list(zip(gradients, model.trainable_weights, strict=True)),
            r"\(the weights that belong to them are known\)\. Received: ",
        ),
        (lambda model, gradients: [0.1] * len(gradients), r"floats, or `None`\. Received: 0\.1"),
        (
            lambda model, gradients: [tf.cast(gradient, tf.int32) for gradient in gradients],
            "must give gradients that are tensors of floats",
        ),
    ],
)
def test_gradients_of_other_types(change, message):
    with pytest.raises(TypeError, match=message):
        fit(wrong(change))


def test_pairs_for_apply_gradients():
    class Pairs(TrainStepModel):
        def apply_gradients(self, gradients):
            super().apply_gradients(zip(gradients, self.trainable_weights, strict=True))

    with pytest.raises(TypeError, match=r"`Pairs\.apply_gradients` must give gradients"):
        fit(Pairs(*network()))


def test_a_function_to_differentiate_that_returns_the_loss_alone():
    class Alone(TrainStepModel):
        def compute_gradients(self, x, y, sample_weight):
            return self.differentiate(lambda: self.forward_pass(x, y, sample_weight)[0])

    with pytest.raises(TypeError, match=r"must return `\(loss, predictions\)`, in `Alone\."):
        fit(Alone(*network()))


def test_a_misspelt_argument():
    with pytest.raises(TypeError, match=r"`SharpnessAwareModel` takes no argument `roh`"):
        SharpnessAwareModel(*network(), roh=0.1)


@pytest.mark.parametrize("arguments", [(keras.Model(*network()),), (0.1,), (1, 2, 3)])
def test_neither_tensors_nor_layers(arguments):
    with pytest.raises(TypeError, match="takes inputs and outputs, a list of layers, or nothing"):
        SharpnessAwareModel(*arguments)


def test_an_existing_model_is_wrapped_and_shares_its_weights():
    plain = keras.Model(*network())
    model = SharpnessAwareModel(plain.inputs, plain.outputs)
    fit(model)
    for ours, theirs in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_train_step_that_drops_the_algorithm():
    with pytest.raises(TypeError, match=r"`Own\.train_step` must call `super\(\)\.train_step"):

        class Own(SharpnessAwareModel):
            def train_step(self, data):
                return {"loss": tf.reduce_mean(self(data[0]))}


def test_a_train_step_that_goes_on_in_a_function_of_its_own():
    class Guarded(TrainStepModel):
        def train_step(self, data):
            def step():
                return super(Guarded, self).train_step(data)

            return step()

    assert np.isfinite(fit(Guarded(*network())).history["loss"]).all()


def test_a_train_step_that_changes_the_data():
    class Halved(TrainStepModel):
        def train_step(self, data):
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
            return super().train_step((x / 2, y, sample_weight))

    model, plain = Halved(*network()), keras.Model(*network())
    model.set_weights(plain.get_weights())
    fit(model)
    fit(plain, X / 2)
    for ours, theirs in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


@keras.utils.register_keras_serializable("tests")
class Penalised(TrainStepModel):
    """Has Keras objects in a list and in a dict among its arguments."""

    def __init__(self, *args, penalties=(), named=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.penalties = penalties
        self.named = named


def test_objects_inside_of_arguments_come_back(tmp_path):
    penalties = [keras.regularizers.L2(0.25), keras.regularizers.L1(0.5)]
    model = Penalised(*network(), penalties=penalties, named={"a": keras.regularizers.L2(0.125)})
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [type(one).__name__ for one in loaded.penalties] == ["L2", "L1"]
    assert float(loaded.penalties[0].l2) == 0.25
    assert float(loaded.named["a"].l2) == 0.125


def teacher_of(inputs=4, classes=2):
    return keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(classes)])


def test_a_teacher_of_other_inputs():
    with pytest.raises(ValueError, match=r"`teacher` must take the student's inputs.*\(None, 3\)"):
        DistillationModel(*network(), teacher=teacher_of(inputs=3))


def test_a_teacher_of_one_class():
    layers = [keras.Input((4,)), keras.layers.Dense(1)]
    with pytest.raises(ValueError, match="`teacher` must have an output for each class"):
        DistillationModel(layers, teacher=teacher_of(classes=1))


def test_outputs_of_other_names():
    def named(*names):
        inputs = keras.Input((4,))
        return inputs, {name: keras.layers.Dense(2, name=name)(inputs) for name in names}

    student = DistillationModel(*named("a", "b"), teacher=keras.Model(*named("a", "c")), alpha=0.0)
    student.compile("sgd")
    with pytest.raises(ValueError, match="of the student's structure and shapes"):
        student.fit(X, verbose=0)


class Upside(keras.Model):
    """Makes its last layer first."""

    def __init__(self):
        super().__init__()
        self.head = keras.layers.Dense(2, activation="softmax")
        self.body = keras.layers.Dense(5)

    def call(self, inputs):
        return self.head(self.body(inputs))


def test_the_last_layer_of_a_subclassed_teacher_is_not_guessed():
    teacher = Upside()
    teacher(X)
    layers = [keras.Input((4,)), keras.layers.Dense(2, "softmax")]
    student = DistillationModel(layers, teacher=teacher, from_logits=False)
    assert np.isfinite(
        fit(student, y=LABELS, loss="sparse_categorical_crossentropy").history["loss"]
    ).all()


def smooth_crossentropy(labels, logits):
    return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def test_a_loss_of_ones_own_is_not_judged_by_its_name():
    student = DistillationModel(*network(), teacher=teacher_of())
    assert np.isfinite(fit(student, y=LABELS, loss=smooth_crossentropy).history["loss"]).all()


@pytest.mark.parametrize(
    "loss", ["sparse_categorical_crossentropy", keras.losses.SparseCategoricalCrossentropy()]
)
def test_a_loss_of_keras_is(loss):
    student = DistillationModel(*network(), teacher=teacher_of())
    with pytest.raises(ValueError, match="`from_logits` must be what the loss given to `compile`"):
        fit(student, y=LABELS, loss=loss)


class Ragged(TrainStepModel):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs.to_tensor(shape=(None, 4)))


def test_ragged_inputs_of_a_model_that_is_not_built():
    assert np.isfinite(fit(Ragged(), tf.RaggedTensor.from_tensor(X)).history["loss"]).all()


@pytest.mark.parametrize("cls", [TrainStepModel, SharpnessAwareModel, GradientAccumulationModel])
def test_weights_of_half_precision(cls):
    with _keras.global_policy("float16"):
        model = cls(*network())
    optimizer = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.01))
    assert np.isfinite(fit(model, optimizer=optimizer).history["loss"]).all()


def test_a_group_of_weights_that_are_frozen_since(tmp_path):
    def made(frozen):
        inputs = keras.Input((4,))
        hidden = keras.layers.Dense(5, name="hidden", trainable=not frozen)(inputs)
        outputs = keras.layers.Dense(2)(hidden)
        return GradientAccumulationModel(inputs, outputs, steps=5, last_group="carry")

    model = made(frozen=False)
    fit(model)
    model.save_weights(tmp_path / "model.weights.h5")
    other = made(frozen=True)
    with pytest.warns(UserWarning, match="gradients of other trainable weights"):
        other.load_weights(tmp_path / "model.weights.h5")
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        assert ours.shape == theirs.shape


@pytest.mark.slow
@pytest.mark.skipif(_keras.GENERATION == 3, reason="Keras 3 saves no SavedModel by `save`")
@pytest.mark.parametrize("cls", [SharpnessAwareModel, GradientAccumulationModel])
def test_a_saved_model_of_keras_2(cls, tmp_path):
    model = cls(*network())
    fit(model)
    model.save(tmp_path / "model", save_format="tf")
    loaded = keras.models.load_model(tmp_path / "model", compile=False)
    np.testing.assert_allclose(loaded(X), model(X), rtol=1e-6)
