"""Models around the layer of a case, with masks and dimensions as a user would have them."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.layers.dynamic_layers import Brief, Folded
from tfk_patterns import layers

_MASKED = -9.0  # stands in the masked steps, and nowhere else
_POOLS = (layers.MaskedPooling1D, layers.MaskedAttentionPooling1D, Brief, Folded)


def model_of(case):
    """Masking, the layer of a case, and a dense one; all but the last dimensions unknown."""
    symbols = [_symbol(array) for array in _arrays(case)]
    masked = [
        one if mask is None else keras.layers.Masking(mask_value=_MASKED)(one)
        for one, mask in zip(symbols, _masks(case), strict=True)
    ]
    others = {name: keras.Input(array.shape[1:]) for name, array in case.call_kwargs.items()}
    layer = case.make()
    x = layer(masked if isinstance(case.inputs, list) else masked[0], **others)
    if keeps_mask(case):  # else Keras weighs each replica's loss by its own valid steps
        x = layers.MaskedPooling1D("max")(x)
    inputs = [*symbols, *others.values()]
    outputs = keras.layers.Dense(1, kernel_initializer="ones")(x)
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs)


def layer_in(model, case):
    """The layer of the case."""
    kind = type(case.make())
    (found,) = [layer for layer in model.layers[:-1] if type(layer) is kind][:1]
    return found


def keeps_mask(case):
    """Whether the layer passes a mask on."""
    layer = case.make()
    has_steps = not isinstance(layer, _POOLS) and getattr(layer, "return_nodes", True)
    return case.mask is not None and has_steps


def data_of(case):
    """What the model of a case takes: an array, or a tuple of several."""
    arrays = [
        array if mask is None else np.where(mask[..., np.newaxis], array, np.float32(_MASKED))
        for array, mask in zip(_arrays(case), _masks(case), strict=True)
    ]
    arrays += case.call_kwargs.values()
    return tuple(arrays) if len(arrays) > 1 else arrays[0]


def targets_of(case):
    """Targets of the shape of the model's output."""
    outputs = case.make()(case.inputs, mask=case.mask, **case.call_kwargs)
    shape = outputs.shape[:1] if keeps_mask(case) else outputs.shape[:-1]
    return np.zeros((*shape, 1), "float32")


def draws(case):
    """Whether the layer draws random numbers in training."""
    layer = case.make()
    layer(case.inputs, mask=case.mask, **case.call_kwargs)
    return getattr(layer, "random_state", None) is not None


def _symbol(array):
    if array.dtype.kind == "i":  # integers have no axis of features
        return keras.Input([None] * (array.ndim - 1), dtype=array.dtype.name)
    return keras.Input([*[None] * (array.ndim - 2), array.shape[-1]])


def _arrays(case):
    return tf.nest.flatten(case.inputs)


def _masks(case):
    masks = case.mask if isinstance(case.mask, list) else [case.mask]
    return masks if case.mask is not None else [None] * len(_arrays(case))
