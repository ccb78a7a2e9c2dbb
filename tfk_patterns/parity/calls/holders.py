"""Layers and models around the layer of a case, as users put theirs into others."""

import functools
from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns.parity.data import Data, tensors_of, unflatten, with_floats
from tfk_patterns.parity.observation import OMITTED, call_layer


class HoldingLayer(keras.layers.Layer):
    """Calls a layer, and says nothing about `training`, which Keras passes on.

    Args:
        layer: The layer.
        data: Its data, whose structure the flat tensors that this layer takes are put back into.
        fixed_kwargs: Keyword arguments of the call that are no tensors.
    """

    def __init__(self, layer, data: Data, fixed_kwargs: dict[str, Any]):
        super().__init__(autocast=False)
        self.layer = layer
        self.fixed_kwargs = fixed_kwargs
        self.unpack = functools.partial(unflatten, data)

    def build(self, input_shape):
        """Makes nothing: Keras 3 would otherwise call the layer on symbolic tensors first."""
        self.built = True

    def call(self, tensors, training=None):
        """What the layer returns for its data as flat tensors."""
        return call_layer(self.layer, self.unpack(tensors), self.fixed_kwargs, OMITTED)


class HoldingModel(keras.Model):
    """A subclassed model that calls a layer one or more times, each time on smaller numbers.

    Args:
        layer: The layer.
        data: Its data, whose structure the flat tensors that this model takes are put back into.
        fixed_kwargs: Keyword arguments of the call that are no tensors.
        times: How often it is called.
    """

    def __init__(self, layer, data: Data, fixed_kwargs: dict[str, Any], times: int = 1):
        super().__init__()
        self.layer = layer
        self.fixed_kwargs = fixed_kwargs
        self.times = times
        self.unpack = functools.partial(unflatten, data)

    def build(self, input_shape):
        """Makes nothing: Keras 3 would otherwise call the layer on symbolic tensors first."""
        self.built = True

    def call(self, tensors, training=None):
        """What the layer returns for its data as flat tensors, from the last call."""
        data = self.unpack(tensors)
        for _ in range(self.times):
            outputs = call_layer(self.layer, data, self.fixed_kwargs, training)
            data = halved(data)
        return outputs


def nested(model, data: Data):
    """A functional model that holds a functional model, and takes the same flat tensors."""
    inputs = [
        keras.Input(batch_shape=spec.shape, dtype=spec.dtype, **_kind_of(leaf))
        for spec, leaf in zip(model.inputs, tensors_of(data), strict=True)
    ]
    return keras.Model(inputs, model(inputs))


def halved(data: Data) -> Data:
    """The data with its float inputs halved."""
    return with_floats(data, lambda leaf: leaf * tf.cast(0.5, leaf.dtype))


def _kind_of(leaf) -> dict[str, bool]:
    kinds = {tf.RaggedTensor: "ragged", tf.SparseTensor: "sparse"}
    return {kinds[type(leaf)]: True} if type(leaf) in kinds else {}
