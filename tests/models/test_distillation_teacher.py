"""The teacher of a DistillationModel: it is used, and not trained, counted or saved twice."""

import contextlib
import io
import zipfile

import h5py
import numpy as np
import pytest
from tensorflow import keras

from tests.models.networks import (
    MODES,
    X,
    Y,
    assert_close_weights,
    assert_equal_weights,
    compiled,
    fit,
    functional,
    subclassed,
    two_layers,
)
from tests.models.replicas import assert_equal_training, on_both
from tests.models.test_distillation import LABELS, SPARSE, student_of, teacher_of
from tfk_patterns import _keras
from tfk_patterns.models import DistillationModel


def noisy_teacher():
    """One whose outputs in training would be others, and whose state would move."""
    first, last = two_layers()
    layers = [first, keras.layers.BatchNormalization(), keras.layers.Dropout(0.5, seed=1), last]
    teacher = keras.Sequential([keras.Input((4,)), *layers])
    teacher.compile("sgd", "mse")
    teacher.fit(X, Y, verbose=0)
    return teacher


@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_stays_to_the_bit_and_is_in_inference_mode(mode):
    """A student that is its copy has a divergence of 0: nothing is dropped."""
    teacher = noisy_teacher()
    before = teacher.get_weights()
    first, last = two_layers()
    student = student_of(teacher, [first, keras.layers.BatchNormalization(), last], alpha=0.0)
    student.set_weights(before)
    student.layers[1].trainable = False  # inference mode in training too
    compiled(student, loss=None, **MODES[mode])
    (loss,) = fit(student, batch_size=24)["loss"]
    assert abs(loss) < 1e-6
    fit(student, epochs=2)
    assert_equal_weights(teacher, before)


def test_is_no_part_of_the_model():
    teacher = noisy_teacher()
    model = compiled(student_of(teacher), loss=SPARSE(from_logits=True))
    fit(model, y=LABELS)
    assert model.teacher is teacher
    assert len(model.weights) == len(model.trainable_weights) == 4
    assert len(model.variables) == 4
    parts = [*model.layers, *_keras.sublayers(model)]
    assert not any(part is teacher or part in teacher.layers for part in parts)
    text = io.StringIO()
    model.summary(print_fn=lambda line, *_, **__: text.write(line + "\n"))
    assert "Trainable params: 37" in text.getvalue()
    assert teacher.trainable


def arrays_in(file):
    """The arrays of an open HDF5 file."""
    found = []
    with h5py.File(file, "r") as opened:
        opened.visititems(
            lambda _, item: found.append(item[()]) if isinstance(item, h5py.Dataset) else None
        )
    return found


@pytest.mark.parametrize("make", [functional, subclassed], ids=lambda make: make.__name__)
def test_is_in_a_file_once(make, tmp_path):
    teacher = teacher_of()
    model = make(DistillationModel, two_layers(), teacher=teacher)
    fit(compiled(model, loss=SPARSE(from_logits=True)), y=LABELS)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    with zipfile.ZipFile(tmp_path / "model.keras") as file:
        (tmp_path / "inside.h5").write_bytes(file.read("model.weights.h5"))
    for name in ("inside.h5", "m.weights.h5"):
        arrays = arrays_in(tmp_path / name)
        for weight in teacher.get_weights():
            assert sum(np.array_equal(array, weight) for array in arrays) == 1


def test_is_reloaded_and_teaches_on(tmp_path):
    """Also where teacher and student are nested and have state."""
    own = {"temperature": 3.0, "alpha": 0.25}
    model = functional(DistillationModel, two_layers(), teacher=noisy_teacher(), **own)
    compiled(model, keras.optimizers.SGD(0.1, momentum=0.9), SPARSE(from_logits=True))
    fit(model, y=LABELS)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert (loaded.temperature, loaded.alpha, loaded.from_logits) == (3.0, 0.25, True)
    assert_equal_weights(loaded.teacher, model.teacher)
    histories = [fit(one, y=LABELS, epochs=2) for one in (model, loaded)]
    assert histories[0] == histories[1]
    assert_equal_weights(model, loaded)


def test_a_weights_file_brings_the_teacher_back(tmp_path):
    model = student_of(teacher_of())
    model.save_weights(tmp_path / "m.weights.h5")
    other = student_of(teacher_of(weights=[np.zeros_like(w) for w in model.get_weights()]))
    other.load_weights(tmp_path / "m.weights.h5")
    assert_equal_weights(other.teacher, model.teacher)


def test_one_teacher_of_two_students():
    teacher = teacher_of()
    students = [student_of(teacher, alpha=0.0) for _ in range(2)]
    for student in students:
        fit(compiled(student, loss=None), y=None)
    assert_equal_weights(*students)


@pytest.mark.parametrize("alpha", [0.4, pytest.param(0.0, marks=pytest.mark.slow)])
def test_two_replicas_equal_one_device(alpha, two_replicas):
    def make():
        optimizer = keras.optimizers.SGD(0.1, global_clipnorm=0.1)
        model = student_of(teacher_of(), two_layers("l2"), alpha=alpha)
        labels = keras.losses.CategoricalCrossentropy(from_logits=True)
        return compiled(model, optimizer, labels if alpha else None)

    models = on_both(two_replicas, make)
    labels = np.eye(2, dtype="float32")[np.concatenate([LABELS, LABELS[:5]])]
    assert_equal_training(models, y=labels)
    assert_equal_weights(models[0].teacher, models[1].teacher)


def test_half_precision():
    """Teacher and student in float16; their divergence in float32."""
    histories, models = [], []
    for policy in ("mixed_float16", "float32"):
        with _policy(policy):
            model = student_of(teacher_of(), temperature=3.0)
            compiled(model, loss=SPARSE(from_logits=True))
        histories.append(fit(model, y=LABELS, epochs=2)["loss"])
        models.append(model)
    assert hasattr(models[0].optimizer, "inner_optimizer")
    np.testing.assert_allclose(*histories, rtol=5e-3)
    assert_close_weights(*models, 5e-3)  # three digits


@pytest.mark.slow
def test_double_precision():
    """With an added loss in float64 too, which Keras 3 cannot add to one in float32 itself."""
    penalty = "l2" if _keras.GENERATION == 2 else None
    with _policy("float64"):
        model = student_of(teacher_of(), two_layers(penalty))
        compiled(model, loss=SPARSE(from_logits=True))
    with _policy("float32"):
        other = compiled(
            student_of(teacher_of(), two_layers(penalty)), loss=SPARSE(from_logits=True)
        )
    histories = [fit(one, y=LABELS)["loss"] for one in (model, other)]
    np.testing.assert_allclose(*histories, rtol=1e-6)
    assert_close_weights(model, other, 2e-6)


@contextlib.contextmanager
def _policy(name):
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)
