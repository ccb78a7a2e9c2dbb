"""Small models, each of Keras' own classes and of `TrainStepModel`, and what training gives."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.models import TrainStepModel

KERAS3 = _keras.GENERATION == 3
MODES = {"graph": {}, "eager": {"run_eagerly": True}, "xla": {"jit_compile": True}}
each_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)

_DRAWS = np.random.default_rng(7)
X = _DRAWS.normal(size=(10, 3)).astype("float32")
Y = _DRAWS.normal(size=(10, 2)).astype("float32")
LABELS = (np.arange(10) % 3).astype("int32")
WEIGHTS = _DRAWS.uniform(0.5, 2.0, size=10).astype("float32")


def dense(units, seed, **arguments):
    """A dense layer that always starts alike."""
    return keras.layers.Dense(
        units, kernel_initializer=keras.initializers.GlorotUniform(seed), **arguments
    )


def hidden_layers():
    return [dense(4, 1, activation="tanh"), keras.layers.BatchNormalization()]


def functional(base, units=2, between=()):
    x = inputs = keras.Input((3,))
    for layer in (*hidden_layers(), *between, dense(units, 2)):
        x = layer(x)
    return base(inputs, x)


def sequential(base):
    layers = [keras.Input((3,)), *hidden_layers(), dense(2, 2)]
    return (keras.Sequential if base is keras.Model else base)(layers)


def deferred(base):
    return (keras.Sequential if base is keras.Model else base)([*hidden_layers(), dense(2, 2)])


def joined(base):
    """Sequential by its bases."""

    class Joined(*((keras.Sequential,) if base is keras.Model else (base, keras.Sequential))):
        pass

    return Joined([*hidden_layers(), dense(2, 2)])


def subclassed(base):
    class Subclassed(base):
        def __init__(self):
            super().__init__()
            self.parts = [*hidden_layers(), dense(2, 2)]

        def call(self, inputs, training=None):
            for part in self.parts:
                inputs = part(inputs, training=training)
            return inputs

    return Subclassed()


def linear(base=TrainStepModel, units=2, **arguments):
    """One dense layer, whose gradients are easily written down."""
    inputs = keras.Input((3,))
    return base(inputs, dense(units, 2, **arguments)(inputs))


def numbers(structure):
    """What Keras returned, as NumPy arrays in the same structure."""
    if isinstance(structure, dict):
        return {name: numbers(value) for name, value in structure.items()}
    if isinstance(structure, list | tuple):
        return [numbers(value) for value in structure]
    return np.asarray(structure)


def state(model):
    """The weights and what the optimizer holds."""
    variables = _keras.optimizer_variables(model.optimizer)
    return {
        "weights": numbers(model.get_weights()),
        "iterations": np.asarray(tf.convert_to_tensor(model.optimizer.iterations)),
        "optimizer": [np.asarray(tf.convert_to_tensor(variable)) for variable in variables],
    }


def fitted(model, x=X, y=Y, compiling=dict, weights=None, **fitting):
    """The history of `fit`, and the state after it.

    Args:
        model: The model.
        x: The inputs.
        y: The targets.
        compiling: Gives the arguments of `compile`, new ones at each call.
        weights: The sample weights.
        **fitting: More arguments of `fit`.
    """
    keras.utils.set_random_seed(1)
    model.compile(**compiling())
    arguments = {"batch_size": 5, "epochs": 2, "shuffle": False, "verbose": 0, **fitting}
    history = model.fit(x, y, sample_weight=weights, **arguments).history
    return {"fit": numbers(history), **state(model)}


def returned(model, x=X, y=Y, weights=None):
    """All that a compiled model's other methods return, and the state after them."""
    weighted = None if weights is None else weights[:5]
    batch = {"x": x[:5], "y": y[:5], "sample_weight": weighted}
    found = {
        "evaluate": model.evaluate(x, y, 5, 0, weights, return_dict=True),
        "train": model.train_on_batch(**batch, return_dict=True),
        "train_list": model.train_on_batch(**batch),
        "test": model.test_on_batch(**batch, return_dict=True),
        "test_list": model.test_on_batch(**batch),
        "predict": model.predict(x, 5, 0),
    }
    return {**numbers(found), **state(model)}


def assert_same(found, expected, where=""):
    """Asserts that two structures of numbers are equal to the bit."""
    assert type(found) is type(expected), where
    if isinstance(expected, dict):
        assert list(found) == list(expected), where
        for name, value in expected.items():
            assert_same(found[name], value, f"{where}.{name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for place, value in enumerate(expected):
            assert_same(found[place], value, f"{where}.{place}")
    else:
        np.testing.assert_array_equal(found, expected, err_msg=where)


def assert_fits_alike(make, *data, then=None, **arguments):
    """Asserts that `TrainStepModel` does what `keras.Model` does, to the bit."""
    models = [make(base) for base in (keras.Model, TrainStepModel)]
    expected, found = (fitted(model, *data, **arguments) for model in models)
    assert_same(found, expected)
    assert np.all(np.isfinite(found["fit"]["loss"]))
    if then is not None:
        expected, found = (then(model) for model in models)
        assert_same(found, expected)
