"""A model comes back from its config and its file with the arguments of its own constructor."""

import copy
import pickle

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.models.train_step_cases import X, Y, assert_same, dense, hidden_layers, numbers, state
from tfk_patterns.models import TrainStepModel


class Scaled(TrainStepModel):
    """Its gradients are multiplied by a number."""

    def __init__(self, *args, strength=0.1, options=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.strength = strength
        self.options = options

    def compute_gradients(self, x, y, sample_weight):
        gradients, loss, predictions = super().compute_gradients(x, y, sample_weight)
        return [self.strength * gradient for gradient in gradients], loss, predictions


class ScaledSequential(Scaled, keras.Sequential):
    """Sequential by its bases."""


class ScaledCall(Scaled):
    """With a `call`, and one more argument."""

    def __init__(self, *args, units=2, activation=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.units = units
        self.activation = activation
        self.part = keras.layers.Dense(units, activation)

    def call(self, inputs):
        return self.part(inputs)


class Made(TrainStepModel):
    """Makes its own functional model."""

    def __init__(self, units, strength=0.1, **kwargs):
        inputs = keras.Input((3,))
        super().__init__(inputs, dense(2, 2)(dense(units, 1)(inputs)), **kwargs)
        self.units = units
        self.strength = strength

    def compute_gradients(self, x, y, sample_weight):
        gradients, loss, predictions = super().compute_gradients(x, y, sample_weight)
        return [self.strength * gradient for gradient in gradients], loss, predictions


def functional():
    x = inputs = keras.Input((3,), name="in")
    for layer in (*hidden_layers(), dense(2, 2, name="out")):
        x = layer(x)
    return Scaled(inputs, x, strength=0.7, options={"a": [1, 2]}, name="mine")


def by_keywords():
    inputs = keras.Input((3,))
    return Scaled(inputs=inputs, outputs=dense(2, 2)(inputs), strength=0.7, name="mine")


def sequential():
    return Scaled([keras.Input((3,)), *hidden_layers(), dense(2, 2)], strength=0.7, name="mine")


def deferred():
    return Scaled([*hidden_layers(), dense(2, 2)], strength=0.7, name="mine")


def sequential_by_bases():
    return ScaledSequential([keras.Input((3,)), dense(2, 2)], strength=0.7, name="mine")


def with_call():
    return ScaledCall(units=2, activation="tanh", strength=0.7, name="mine")


def made():
    return Made(4, strength=0.7, name="mine")


def structured():
    one, two = keras.Input((3,), name="one"), keras.Input((3,), name="two")
    outputs = {"sum": dense(2, 1)(keras.layers.Add()([one, two]))}
    return Scaled({"one": one, "two": two}, outputs, strength=0.7, name="mine")


MODELS = [functional, by_keywords, sequential, deferred, sequential_by_bases, with_call, made]
CLASSES = {one.__name__: one for one in (Scaled, ScaledSequential, ScaledCall, Made)}


def started(make):
    """A model that was trained for a while, with momentum."""
    keras.utils.set_random_seed(1)
    model = make()
    model.compile(keras.optimizers.Adam(0.05), "mse", metrics=["mae"], run_eagerly=True)
    model.fit(X, Y, 5, 1, 0, shuffle=False)
    return model


def going_on(model):
    logs = model.fit(X, Y, 5, 2, 0, shuffle=False).history
    return {"logs": numbers(logs), **state(model)}


@pytest.mark.parametrize("make", MODELS)
def test_files(make, tmp_path):
    """Training goes on from the file to the bit."""
    model = started(make)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", custom_objects=CLASSES)
    assert type(loaded).__name__ == type(model).__name__
    assert isinstance(loaded, TrainStepModel)
    for name in ("name", "strength", "units", "options", "trainable"):
        assert getattr(loaded, name, None) == getattr(model, name, None), name
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    loaded.run_eagerly = True
    assert_same(going_on(loaded), going_on(model))


@pytest.mark.slow
@pytest.mark.parametrize("make", MODELS)
def test_weights_alone(make, tmp_path):
    model, other = started(make), started(make)
    model.train_on_batch(X, -Y)
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    assert_same(numbers(other.get_weights()), numbers(model.get_weights()))


@pytest.mark.parametrize("make", [*MODELS, structured])
def test_configs(make):
    model = make()
    config = model.get_config()
    again = type(model).from_config(copy.deepcopy(config), custom_objects=CLASSES)
    assert again.get_config() == config
    assert (again.name, again.strength) == ("mine", 0.7)
    if make is structured:
        x = {"one": X, "two": X}
        again.set_weights(model.get_weights())
        assert_same(numbers(again(x)), numbers(model(x)))


def test_frozen_models_and_layers_stay_so():
    model = functional()
    model.get_layer("out").trainable = False
    again = Scaled.from_config(model.get_config())
    assert len(again.trainable_weights) == len(model.trainable_weights) == 4
    model.trainable = False
    again = Scaled.from_config(model.get_config())
    assert again.trainable is False
    assert not again.trainable_weights


def test_layers_that_a_constructor_froze():
    class Frozen(Made):
        def __init__(self, units, **kwargs):
            super().__init__(units, **kwargs)
            self.layers[1].trainable = False

    again = Frozen.from_config(Frozen(4).get_config())
    assert len(again.trainable_weights) == 2
    model = Frozen(4)
    model.trainable = False
    assert not Frozen.from_config(model.get_config()).trainable


def test_nested_in_another_model(tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, dense(1, 3)(functional()(inputs)))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", custom_objects=CLASSES)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert loaded.get_layer("mine").strength == 0.7


def test_the_class_itself_needs_no_custom_objects(tmp_path):
    inputs = keras.Input((3,))
    for model in (TrainStepModel(inputs, dense(2, 2)(inputs)), TrainStepModel([dense(2, 2)])):
        model.compile("sgd", "mse")
        model.fit(X, Y, verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert isinstance(loaded, TrainStepModel)
        assert type(loaded).__name__ == "TrainStepModel"
        assert isinstance(loaded, keras.Sequential) == isinstance(model, keras.Sequential)


@keras.utils.register_keras_serializable("test_train_step_config", "Other")
class Registered(Scaled):
    """Registered by another name than its own."""


def test_registered_classes_need_no_custom_objects(tmp_path):
    inputs = keras.Input((3,))
    layers = [keras.Input((3,)), dense(2, 2)]
    for model in (Registered(inputs, dense(2, 2)(inputs), strength=3.0), Registered(layers)):
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert isinstance(loaded, Registered)
        assert loaded.strength == model.strength


class Callable(TrainStepModel):
    """Keeps one argument, and forgets another."""

    def __init__(self, *args, strength=0.1, function=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.strength = strength
        self._function = function


class Described(Callable):
    """Says by itself what it was made of."""

    def get_config(self):
        return {**super().get_config(), "function": self._function}


def test_an_argument_that_is_no_attribute():
    inputs = keras.Input((3,))
    message = r"`Callable` must keep each argument.*Received: no attribute `function`"
    with pytest.raises(NotImplementedError, match=message):
        Callable(inputs, dense(2, 2)(inputs), function="a").get_config()
    model = Described(inputs, dense(2, 2)(inputs), function="a", strength=2.0)
    again = Described.from_config(model.get_config())
    assert (again._function, again.strength) == ("a", 2.0)


def test_keras_objects_as_arguments(tmp_path):
    """A layer, a loss, an initializer."""
    inputs = keras.Input((3,))
    for thing in (keras.layers.Rescaling(2.0), keras.losses.Huber(0.5), keras.initializers.Zeros()):
        model = Scaled(inputs, dense(2, 2)(inputs), options=thing)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras", custom_objects=CLASSES)
        assert type(loaded.options) is type(thing)


@pytest.mark.parametrize("make", [functional, sequential])
def test_clones(make):
    """Keras clones into a plain model, as it does for other subclasses of functional ones."""
    clone = keras.models.clone_model(make())
    assert [type(layer) for layer in clone.layers] == [type(layer) for layer in make().layers]
    assert clone(X).shape == (10, 2)


@pytest.mark.slow
@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(make, duplicate):
    model = make()
    model(tf.constant(X))
    with keras.utils.custom_object_scope(CLASSES):
        again = duplicate(model)
    assert isinstance(again, TrainStepModel)
    np.testing.assert_array_equal(again(X), model(X))
    assert again.strength == 0.7
