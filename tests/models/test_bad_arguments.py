"""Arguments that cannot be are refused in one clear sentence, before anything is trained."""

import re

import numpy as np
import pytest
from tensorflow import keras

from tests.models.networks import (
    PARAMETERS,
    X,
    Y,
    assert_equal_weights,
    compiled,
    fit,
    functional,
    sequential,
    subclassed,
    two_layers,
)
from tests.models.test_distillation import student_of, teacher_of
from tfk_patterns import _keras
from tfk_patterns.models import (
    DistillationModel,
    GradientAccumulationModel,
    SharpnessAwareModel,
)

NAN = float("nan")
SAM, ACCUMULATION = SharpnessAwareModel, GradientAccumulationModel
ARGUMENTS = [
    (SAM, "rho", 0, ValueError, "more than 0"),
    (SAM, "rho", -0.1, ValueError, "more than 0"),
    (SAM, "rho", NAN, ValueError, "finite"),
    (SAM, "rho", float("inf"), ValueError, "finite"),
    (SAM, "rho", "0.1", TypeError, "a number"),
    (SAM, "rho", True, TypeError, "a number"),
    (SAM, "rho", None, TypeError, "a number"),
    (SAM, "adaptive", 1, TypeError, "True or False"),
    (ACCUMULATION, "steps", 0, ValueError, "at least 1"),
    (ACCUMULATION, "steps", -2, ValueError, "at least 1"),
    (ACCUMULATION, "steps", 1.5, TypeError, "an integer"),
    (ACCUMULATION, "steps", 2.0, TypeError, "an integer"),
    (ACCUMULATION, "steps", True, TypeError, "an integer"),
    (ACCUMULATION, "steps", None, TypeError, "an integer"),
    (ACCUMULATION, "last_group", "drop", ValueError, "one of 'apply', 'carry'"),
    (ACCUMULATION, "last_group", None, TypeError, "one of 'apply', 'carry'"),
    (DistillationModel, "temperature", 0, ValueError, "more than 0"),
    (DistillationModel, "temperature", -1.0, ValueError, "more than 0"),
    (DistillationModel, "temperature", NAN, ValueError, "finite"),
    (DistillationModel, "temperature", "hot", TypeError, "a number"),
    (DistillationModel, "alpha", 1.01, ValueError, "in [0, 1]"),
    (DistillationModel, "alpha", -0.01, ValueError, "in [0, 1]"),
    (DistillationModel, "alpha", NAN, ValueError, "finite"),
    (DistillationModel, "alpha", False, TypeError, "a number"),
    (DistillationModel, "from_logits", None, TypeError, "True or False"),
    (DistillationModel, "teacher", None, TypeError, "a keras.Model"),
    (DistillationModel, "teacher", "teacher.keras", TypeError, "a keras.Model"),
    (DistillationModel, "teacher", keras.layers.Dense, TypeError, "a keras.Model"),
]


@pytest.mark.parametrize(
    ("cls", "name", "value", "error", "expected"),
    ARGUMENTS,
    ids=[f"{cls.__name__}-{name}-{value}" for cls, name, value, *_ in ARGUMENTS],
)
def test_an_argument_of_the_constructor(cls, name, value, error, expected):
    arguments = {name: value}
    if cls is DistillationModel:
        arguments = {"teacher": teacher_of(), **arguments}
    text = re.escape(f"`{name}` must be {expected}. Received: {name}={value!r}")
    for make in (functional, sequential, subclassed):
        with pytest.raises(error, match=f"^{text}") as caught:
            make(cls, two_layers(), **arguments)
        assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize("make", [functional, sequential], ids=lambda make: make.__name__)
def test_a_class_of_keras_is_no_teacher_and_an_unbuilt_model_neither(make):
    unbuilt = keras.Sequential(two_layers())
    with pytest.raises(ValueError, match=r"^`teacher` must be a built, .* Received: teacher=<"):
        make(DistillationModel, two_layers(), teacher=unbuilt)


def test_a_teacher_of_other_classes():
    teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    text = re.escape("of the student's structure and shapes, (batch, ..., classes). Received")
    text = rf"`teacher` must have outputs {text}: .*\(None, 3\)\]? .*\(None, 2\)\]?$"
    with pytest.raises(ValueError, match=f"^{text}"):
        student_of(teacher)
    model = compiled(subclassed(DistillationModel, two_layers(), teacher=teacher, alpha=0.0), None)
    with pytest.raises(ValueError, match="outputs of the student's structure and shapes"):
        fit(model)


def test_a_teacher_of_more_outputs():
    inputs = keras.Input((4,))
    teacher = keras.Model(inputs, [keras.layers.Dense(2)(inputs) for _ in range(2)])
    with pytest.raises(ValueError, match="outputs of the student's structure and shapes"):
        student_of(teacher)


@pytest.mark.parametrize("last", ["softmax", "layer"])
def test_a_softmax_that_from_logits_denies(last):
    end = keras.layers.Dense(2, "softmax") if last == "softmax" else keras.layers.Softmax()
    teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), end])
    text = "`from_logits` must be False for a teacher that ends in a softmax. Received: "
    with pytest.raises(ValueError, match=f"^{re.escape(text)}from_logits=True$"):
        student_of(teacher)


def test_logits_that_from_logits_denies():
    text = "`from_logits` must be True for a teacher that ends in logits. Received: "
    with pytest.raises(ValueError, match=f"^{re.escape(text)}from_logits=False$"):
        student_of(teacher_of(), from_logits=False)


def losses_that_contradict():
    losses = keras.losses
    return [
        losses.SparseCategoricalCrossentropy(),
        losses.CategoricalCrossentropy(),
        "sparse_categorical_crossentropy",
        "categorical_crossentropy",
        losses.categorical_crossentropy,
    ]


@pytest.mark.parametrize("number", range(5))
def test_a_compiled_loss_that_from_logits_denies(number):
    model = compiled(student_of(teacher_of()), loss=losses_that_contradict()[number])
    refuses(model, r"`from_logits` must be what the loss .* says, False\. Received: from_logits=T")


def refuses(model, match, **arguments):
    """In `fit` and `train_on_batch`, with the weights as they were."""
    for train in (
        lambda: fit(model, **arguments),
        lambda: model.train_on_batch(X, arguments.get("y", Y)),
    ):
        with pytest.raises(ValueError, match=f"^{match}") as caught:
            train()
        assert str(caught.value).count("\n") == 0
        assert_equal_weights(model, PARAMETERS)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_distillation_without_a_loss_for_the_targets(alpha):
    model = compiled(student_of(teacher_of(), alpha=alpha), loss=None)
    refuses(model, "`loss` must be given to `compile`, for the targets, unless `alpha` is 0. Rec")


@pytest.mark.parametrize("cls", [SAM, ACCUMULATION], ids=lambda cls: cls.__name__)
def test_no_loss_at_all(cls):
    """Which is known in the step alone, since layers may add one: Keras 2 writes where it was."""
    model = compiled(functional(cls, two_layers()), loss=None)
    with pytest.raises(ValueError, match="`loss` must be given to `compile`, where no layer adds"):
        fit(model)
    assert_equal_weights(model, PARAMETERS)


@pytest.mark.parametrize("where", ["one", "second_of_two"])
def test_accumulation_of_a_loss_that_is_a_sum(where):
    total = keras.losses.MeanSquaredError(reduction="sum")
    loss = total if where == "one" else ["mse", total]
    if where == "one":
        model = functional(ACCUMULATION, two_layers())
    else:
        inputs = keras.Input((4,))
        hidden, outputs = inputs, []
        for layer in two_layers():
            hidden = layer(hidden)
            outputs.append(hidden)
        model = ACCUMULATION(inputs, outputs)
    y = Y if where == "one" else [np.zeros((24, 5), "float32"), Y]
    refuses(
        compiled(model, loss=loss),
        "`loss` must be a mean over samples, .* Received: a loss with reduction='sum'",
        y=y,
    )


@pytest.mark.skipif(_keras.GENERATION == 2, reason="Keras 2 has no such argument")
def test_accumulation_in_the_optimizer_too():
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    model = compiled(functional(ACCUMULATION, two_layers()), optimizer)
    refuses(model, "`optimizer` must leave .* Received: gradient_accumulation_steps=2$")


@pytest.mark.skipif(_keras.GENERATION == 2, reason="Keras 2 has no such argument")
def test_accumulation_in_the_optimizer_within_one_that_scales():
    inner = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    optimizer = keras.mixed_precision.LossScaleOptimizer(inner)
    model = compiled(functional(ACCUMULATION, two_layers()), optimizer)
    refuses(model, "`optimizer` must leave .* Received: gradient_accumulation_steps=2$")


@pytest.mark.parametrize("cls", [SAM, ACCUMULATION, DistillationModel], ids=lambda c: c.__name__)
def test_training_before_compile(cls):
    own = {"teacher": teacher_of()} if cls is DistillationModel else {}
    model = functional(cls, two_layers(), **own)
    with pytest.raises((ValueError, RuntimeError), match="compile"):
        model.fit(X, Y, verbose=0)
