"""Layers that do not come back from a file as they went into it."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class _ScaleAndOffset(keras.layers.Layer):
    def build(self, input_shape):
        shape = (input_shape[-1],)
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones")
        self.offset = self.add_weight(name="offset", shape=shape, initializer="zeros")
        self.built = True

    def call(self, inputs):
        return inputs * self.scale + self.offset


class SwapsOnLoading(_ScaleAndOffset):
    """Saves its two weights in one order and loads them in another."""

    def save_own_variables(self, store):
        store["0"] = np.asarray(tf.convert_to_tensor(self.scale))
        store["1"] = np.asarray(tf.convert_to_tensor(self.offset))

    def load_own_variables(self, store):
        self.offset.assign(np.asarray(store["0"]))
        self.scale.assign(np.asarray(store["1"]))


class ForgetsOnLoading(_ScaleAndOffset):
    """Loads one of its weights only."""

    def load_own_variables(self, store):
        self.scale.assign(np.asarray(store["0"]))


class SavesByShape(_ScaleAndOffset):
    """Saves its weights under keys of which two are equal."""

    def save_own_variables(self, store):
        kept = {f"weight_{tuple(weight.shape)}": weight for weight in self.weights}
        for key, weight in kept.items():
            store[key] = np.asarray(tf.convert_to_tensor(weight))

    def load_own_variables(self, store):
        for weight in self.weights:
            weight.assign(np.asarray(store[f"weight_{tuple(weight.shape)}"]))


class BuildsOtherShape(keras.layers.Layer):
    """Is built from a file for as many features as it has units."""

    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def get_config(self):
        return {**super().get_config(), "units": self.units}

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[-1], self.units), initializer="ones"
        )
        self.built = True

    def get_build_config(self):
        return {"input_shape": (None, None, self.units)}

    def build_from_config(self, config):
        self.build(tuple(config["input_shape"]))

    def call(self, inputs):
        return tf.matmul(inputs, tf.convert_to_tensor(self.kernel))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)


class SublayersNeverBuilt(keras.layers.Layer):
    """Leaves the building of its sublayer to `call`, which a file does not run."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.layers.Dense(3, kernel_initializer="identity")

    def call(self, inputs):
        return self.inner(inputs)

    def compute_output_shape(self, input_shape):
        return input_shape


class Holder(keras.layers.Layer):
    """Holds a layer; right by itself."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.layers.Dense(3, kernel_initializer="identity", use_bias=False)

    def build(self, input_shape):
        self.inner.build(input_shape)
        self.built = True

    def call(self, inputs):
        return self.inner(inputs)


def FrozenFromOutside():
    """A holder whose inner layer is frozen by hand, which no config says."""
    layer = Holder()
    layer.inner.trainable = False
    return layer


BROKEN = [
    broken("weights_file", SwapsOnLoading, "weights['swaps_on_loading/offset'] is"),
    broken("weights_file", ForgetsOnLoading, "weights['forgets_on_loading/offset'] is"),
    broken("weights_file", SavesByShape, "weights['saves_by_shape/scale'] is"),
    broken("keras_file", BuildsOtherShape, "the model cannot be saved and loaded again"),
    broken("keras_file", SublayersNeverBuilt, "never built", generations=(3,)),
    broken("keras_file", FrozenFromOutside, "is trainable in the loaded model, and not trainable"),
]
