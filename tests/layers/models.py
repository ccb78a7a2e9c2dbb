"""Models around the layer of a case, with masks and dimensions as a user would have them."""

import numpy as np
from tensorflow import keras

from tfk_patterns import layers

_MASKED = -9.0  # stands in the masked steps, and nowhere else


def model_of(case):
    """Masking, the layer of a case, and a dense one; all but the last dimension unknown."""
    shape = [None] * (case.inputs.ndim - 2) + [case.inputs.shape[-1]]
    inputs = x = keras.Input(shape)
    if case.mask is not None:
        x = keras.layers.Masking(mask_value=_MASKED)(x)
    layer = case.make()
    x = layer(x)
    if keeps_mask(case):  # else Keras weighs each replica's loss by its own valid steps
        x = layers.MaskedPooling1D("sum")(x)
    return keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="ones")(x))


def layer_in(model, case):
    """The layer of the case."""
    return model.layers[-3 if keeps_mask(case) else -2]


def keeps_mask(case):
    """Whether the layer passes a mask on."""
    return case.mask is not None and not isinstance(case.make(), layers.MaskedPooling1D)


def data_of(case):
    """What the model of a case takes."""
    if case.mask is None:
        return case.inputs
    return np.where(case.mask[..., np.newaxis], case.inputs, np.float32(_MASKED))


def targets_of(case):
    """Targets of the shape of the model's output."""
    outputs = case.make()(case.inputs, mask=case.mask)
    shape = outputs.shape[:1] if keeps_mask(case) else outputs.shape[:-1]
    return np.zeros((*shape, 1), "float32")
