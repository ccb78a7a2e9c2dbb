"""Configs that do not make the same layer again."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class ForgetsArgument(keras.layers.Layer):
    """Leaves an argument out of the config."""

    def __init__(self, factor=2.0, offset=0.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.offset = offset

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}

    def call(self, inputs):
        return inputs * self.factor + self.offset


class ForgetsBase(keras.layers.Layer):
    """Starts from an empty config, so that name, dtype and `trainable` are lost."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def get_config(self):
        return {"factor": self.factor}

    def call(self, inputs):
        return inputs * self.factor


class WritesAnotherAttribute(keras.layers.Layer):
    """Writes the wrong attribute under the name of an argument."""

    def __init__(self, low=0.0, high=1.0, **kwargs):
        super().__init__(**kwargs)
        self.low = low
        self.high = high

    def get_config(self):
        return {**super().get_config(), "low": self.low, "high": self.low}

    def call(self, inputs):
        return tf.clip_by_value(inputs, self.low, self.high)


class WritesConstant(keras.layers.Layer):
    """Writes the default in the place of the value."""

    def __init__(self, rate=0.5, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def get_config(self):
        return {**super().get_config(), "rate": 0.5}

    def call(self, inputs):
        return inputs * self.rate


class WritesDefault(keras.layers.Layer):
    """Hands an argument on to its inner layer, and always writes the default."""

    def __init__(self, use_offset=True, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.layers.Dense(
            3, use_bias=use_offset, kernel_initializer="identity", bias_initializer="ones"
        )

    def build(self, input_shape):
        self.inner.build(input_shape)
        self.built = True

    def get_config(self):
        return {**super().get_config(), "use_offset": True}

    def call(self, inputs):
        return self.inner(inputs)


class WritesFunction(keras.layers.Layer):
    """Has a function in its config."""

    def __init__(self, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)

    def get_config(self):
        return {**super().get_config(), "activation": self.activation}

    def call(self, inputs):
        return self.activation(inputs)


class WritesLayer(keras.layers.Layer):
    """Has its inner layer in its config, which a clone would then share."""

    def __init__(self, inner=None, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner or keras.layers.Dense(3, kernel_initializer="identity")

    def build(self, input_shape):
        self.inner.build(input_shape)
        self.built = True

    def get_config(self):
        return {**super().get_config(), "inner": self.inner}

    def call(self, inputs):
        return self.inner(inputs)


class WritesArray(keras.layers.Layer):
    """Has an array in its config."""

    def __init__(self, weights_of_features=(1.0, 2.0, 3.0), **kwargs):
        super().__init__(**kwargs)
        self.weights_of_features = np.asarray(weights_of_features, "float32")

    def get_config(self):
        return {**super().get_config(), "weights_of_features": self.weights_of_features}

    def call(self, inputs):
        return inputs * self.weights_of_features


class ForgetsActivation(keras.layers.Layer):
    """Keeps the name of the activation, but always makes the default one from the config."""

    def __init__(self, units=3, activation="tanh", **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.activation = activation
        self.dense = keras.layers.Dense(units, activation, kernel_initializer="identity")

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True

    def get_config(self):
        return {**super().get_config(), "units": self.units, "activation": self.activation}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config.pop("activation")
        return cls(**config)

    def call(self, inputs):
        return self.dense(inputs)


class ArgumentsWithoutConfig(keras.layers.Layer):
    """Takes an object, which Keras cannot put into a config by itself."""

    def __init__(self, function=tf.nn.relu, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


_CHECK = "config"

BROKEN = [
    broken(_CHECK, ForgetsArgument, "the constructor takes `offset`, but the config"),
    broken(_CHECK, ForgetsBase, "`name` is"),
    broken(_CHECK, WritesAnotherAttribute, "outputs is"),
    broken(_CHECK, WritesConstant, "a layer made with rate=0.25 has rate=0.5 in its config"),
    broken(_CHECK, WritesDefault, "a layer made with use_offset=False has use_offset=True"),
    broken(_CHECK, WritesFunction, "config['activation'] is a function (relu)"),
    broken(_CHECK, WritesLayer, "config['inner'] is a layer (Dense)"),
    broken(_CHECK, WritesArray, "is an array or tensor (ndarray)"),
    broken(_CHECK, ForgetsActivation, "outputs is", activation="sigmoid"),
    broken(_CHECK, ArgumentsWithoutConfig, "`get_config` raises an error", function=tf.nn.elu),
]
