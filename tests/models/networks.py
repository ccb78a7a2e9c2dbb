"""Small networks in the three ways to make a model, what they start from, and data for them."""

import numpy as np
from tensorflow import keras

_DRAWS = np.random.default_rng(0)
X = _DRAWS.normal(size=(24, 4)).astype("float32")
Y = _DRAWS.normal(size=(24, 2)).astype("float32")
SAMPLE_WEIGHT = _DRAWS.uniform(0.2, 2.0, size=24).astype("float32")
PARAMETERS = [
    _DRAWS.normal(size=shape, scale=0.5).astype("float32") for shape in ((4, 5), (5,), (5, 2), (2,))
]
MODES = {
    "graph": {"jit_compile": False},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
}


def two_layers(regularizer=None):
    """Layers that start from `PARAMETERS`."""
    constant = [keras.initializers.Constant(values.tolist()) for values in PARAMETERS]
    return [
        keras.layers.Dense(
            units,
            activation,
            kernel_initializer=kernel,
            bias_initializer=bias,
            kernel_regularizer=regularizer,
        )
        for units, activation, kernel, bias in (
            (5, "tanh", *constant[:2]),
            (2, None, *constant[2:]),
        )
    ]


def sequential(cls, layers, **arguments):
    return cls([keras.Input((4,)), *layers], **arguments)


def functional(cls, layers, **arguments):
    inputs = outputs = keras.Input((4,))
    for layer in layers:
        outputs = layer(outputs)
    return cls(inputs, outputs, **arguments)


def subclassed(cls, layers, **arguments):
    """A model of a class with a `call`, not built."""

    class Stack(cls):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.parts = layers

        def call(self, inputs, training=None):
            for part in self.parts:
                takes_training = isinstance(part, keras.layers.BatchNormalization)
                inputs = part(inputs, training=training) if takes_training else part(inputs)
            return inputs

    return Stack(**arguments)


def compiled(model, optimizer=None, loss="mse", weights=None, **arguments):
    """The model, trained by plain descent unless told otherwise."""
    if weights is not None:
        model.set_weights(weights)
    if optimizer is None:
        optimizer = keras.optimizers.SGD(0.1)
    model.compile(optimizer, loss, **arguments)
    return model


def fit(model, x=X, y=Y, batch_size=8, **arguments):
    """The history of training on the data in order."""
    arguments = {"shuffle": False, "verbose": 0, **arguments}
    return model.fit(x, y, batch_size=batch_size, **arguments).history


def assert_equal_weights(model, other):
    for ours, theirs in zip(weights_of(model), weights_of(other), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def assert_close_weights(model, other, tolerance):
    for ours, theirs in zip(weights_of(model), weights_of(other), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


def weights_of(model):
    return model.get_weights() if isinstance(model, keras.Model) else model
