"""Models that hold the layer of a case."""

from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity.data import Data, tensors_of, unflatten
from tfk_patterns.parity.errors import blamed
from tfk_patterns.parity.outcome import Failure, Skip


@_keras.register
class AttachMask(keras.layers.Layer):
    """Takes a tensor and a mask, and passes the tensor on with that mask."""

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)

    def call(self, inputs):
        return tf.identity(inputs[0])

    def compute_mask(self, inputs, mask=None):
        return inputs[1]

    def compute_output_shape(self, input_shape):
        return input_shape[0]


@_keras.register
class ReadMask(keras.layers.Layer):
    """Returns the mask that reaches it, or, where none does, an empty one."""

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        return tf.zeros((0,), tf.bool) if mask is None else tf.convert_to_tensor(mask)

    def compute_mask(self, inputs, mask=None):
        return None


def functional(layer, data: Data, fixed_kwargs: dict[str, Any], sizes: Any = None):
    """A functional model that holds the layer only.

    It takes the tensors of `data.tensors_of(...)`, and returns what the layer returns. The batch
    size is unknown.

    Args:
        layer: The layer, built or not.
        data: What decides the inputs' shapes and dtypes.
        fixed_kwargs: Keyword arguments of the call that are no tensors.
        sizes: Function from the shape of a tensor without the batch to the shape of its input,
            with `None` for axes that are to be unknown; the shape itself by default.

    Raises:
        Failure: The layer cannot be called on symbolic tensors.
        Skip: What the layer takes cannot be fed to a functional model.
    """
    inputs, outputs = symbolic_call(layer, data, fixed_kwargs, sizes)
    with _blamed():
        return keras.Model(inputs, outputs)


def symbolic_call(layer, data: Data, fixed_kwargs: dict[str, Any], sizes: Any = None):
    """Symbolic tensors for the data, in a flat list, and what the layer returns for them.

    Takes and raises what `functional` does.
    """
    inputs = [_symbolic(leaf, sizes) for leaf in tensors_of(data)]
    symbolic = unflatten(data, inputs)
    arguments = symbolic["inputs"]
    if symbolic["mask"] is not None:
        arguments = tf.nest.map_structure(
            lambda tensor, mask: tensor if mask is None else AttachMask()([tensor, mask]),
            arguments,
            symbolic["mask"],
        )
    try:
        with _blamed():
            return inputs, layer(arguments, **symbolic["kwargs"], **fixed_kwargs)
    except Failure as failure:
        if any(isinstance(leaf, tf.RaggedTensor) for leaf in tensors_of(data)):
            # Keras 3 hands it a dense symbolic tensor instead, which has no row lengths.
            raise Skip(f"with ragged inputs {failure.message}") from failure
        raise


def _blamed():
    return blamed(
        "the layer cannot be called on symbolic tensors",
        "functional model",
        "In a functional model `call` gets tensors of unknown batch size, or none at all where "
        "`compute_output_shape` is defined.",
        check="symbolic_shape",
    )


def _symbolic(leaf, sizes):
    if not leaf.shape.rank:
        raise Skip("an input without a batch axis cannot be fed to a functional model")
    kinds = {}
    if isinstance(leaf, tf.RaggedTensor | tf.SparseTensor):
        kinds = {"ragged" if isinstance(leaf, tf.RaggedTensor) else "sparse": True}
    shape = tuple(leaf.shape[1:])
    return keras.Input(shape if sizes is None else sizes(shape), dtype=leaf.dtype, **kinds)
