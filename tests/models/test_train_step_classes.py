"""Making a model changes no class: what derives from it afterwards still works."""

import numpy as np
import pytest
from tensorflow import keras

from tests.models.train_step_cases import X, Y, dense
from tfk_patterns.models import TrainStepModel


def own_class(base=TrainStepModel):
    class Sub(base):
        """Its own docstring."""

        def __init__(self, *args, strength=0.1, **kwargs):
            super().__init__(*args, **kwargs)
            self.strength = strength

    return Sub


def made(cls, kind, **arguments):
    inputs = keras.Input((3,))
    if kind == "functional":
        return cls(inputs, dense(2, 2)(inputs), **arguments)
    if kind == "keywords":
        return cls(outputs=dense(2, 2)(inputs), inputs=inputs, **arguments)
    if kind == "layers":
        return cls(layers=[dense(2, 2)], **arguments)
    return cls([keras.Input((3,)), dense(2, 2)], **arguments)


KINDS = ["functional", "keywords", "list", "layers"]


@pytest.mark.parametrize("kind", KINDS)
def test_bases_stay_and_a_call_works_afterwards(kind):
    sub = own_class()
    bases, base_bases = sub.__bases__, TrainStepModel.__bases__
    model = made(sub, kind, strength=0.5)
    assert (sub.__bases__, TrainStepModel.__bases__) == (bases, base_bases)
    assert isinstance(model, sub)
    assert model.strength == 0.5

    class Calls(sub):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.part = dense(2, 2)

        def call(self, inputs):
            return 2.0 * self.part(inputs)

    later = Calls(strength=0.25)
    later.compile("sgd", "mse", run_eagerly=True)
    later.fit(X, Y, verbose=0)
    assert later.strength == 0.25
    assert not isinstance(later, type(model))
    np.testing.assert_allclose(later(X), 2.0 * np.asarray(later.part(X)), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_kept(kind):
    sub = own_class()
    model = made(sub, kind)
    assert type(model).__name__ == "Sub"
    assert type(model).__qualname__ == sub.__qualname__
    assert type(model).__module__ == __name__
    assert type(model).__doc__ == "Its own docstring."
    assert model.name.startswith("sub")
    assert type(made(sub, kind)) is type(model)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_of_the_kind_of_keras(kind):
    model = made(own_class(), kind)
    assert isinstance(model, keras.Sequential) == (kind in ("list", "layers"))
    model(X)
    assert model.inputs
    assert [layer.name for layer in model.layers if "dense" in layer.name]
    assert model.count_params() == 8


def test_a_sequential_model_that_grows():
    model = TrainStepModel([])
    model.add(dense(4, 1))
    model.add(dense(2, 2))
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(X, Y, verbose=0)
    assert len(model.layers) == 2


def test_a_class_with_init_arguments_that_are_not_those_of_keras():
    """A list as the first argument of a constructor of its own is no list of layers."""

    class Units(TrainStepModel):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.parts = [dense(size, 1) for size in units]

        def call(self, inputs):
            for part in self.parts:
                inputs = part(inputs)
            return inputs

    model = Units([4, 2])
    assert type(model) is Units
    assert model(X).shape == (10, 2)


def test_a_constructor_that_makes_the_layers_of_a_sequential_model():
    class Stack(TrainStepModel, keras.Sequential):
        def __init__(self, units, **kwargs):
            super().__init__([dense(size, 1) for size in units], **kwargs)
            self.units = units

    model = Stack([4, 2])
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(X, Y, verbose=0)
    again = Stack.from_config(model.get_config())
    assert list(again.units) == [4, 2]
    assert len(again.layers) == 2


def test_two_levels_of_subclasses():
    sub = own_class(own_class())
    model = made(sub, "functional", strength=0.5)
    assert sub.__bases__[0].__bases__ == (TrainStepModel,)
    assert type(model).from_config(model.get_config()).strength == 0.5


def test_a_functional_model_can_be_taken_apart():
    """As for features of an inner layer."""
    inputs = keras.Input((3,))
    hidden = dense(4, 1)(inputs)
    model = TrainStepModel(inputs, dense(2, 2)(hidden))
    features = TrainStepModel(model.inputs, model.layers[1].output)
    assert features(X).shape == (10, 4)
