"""A stack of dense layers as one layer."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, _validate
from tfk_patterns.layers._keras_arguments import as_activation
from tfk_patterns.layers._masking import as_checked_mask, expand_mask, passed_on
from tfk_patterns.layers._random import add_random_state, drop
from tfk_patterns.layers.batch_norm_dropout import BatchNormDropout

_AXES = "(batch, ..., features)"


@_keras.register
class MLP(keras.layers.Layer):
    """Dense blocks after one another, with normalisation, dropout and residuals as options.

    Each block is `Dense`, normalisation, activation, dropout; the last one is `Dense` and
    `final_activation` alone. With `input_dim` the layer is built at once, and its weights are
    there after the constructor (a `Sequential` model around it still needs an `Input`); without, at
    the first call. All sublayers are built in `build`, so that files of weights load into a layer
    that was not called yet, and each gets `training`; a subclass adds its own in `build` too.

    Masks are passed on. The statistics of batch normalisation leave masked steps out
    (`BatchNormDropout`); all else works step by step.

    Args:
        units: The sizes of the blocks' outputs, at least one.
        activation: A Keras activation of all blocks but the last: a name, a function, or `None`.
            A model is loaded again only where its function is registered with Keras.
        input_dim: The number of features of the inputs, to build at once; or `None`.
        final_activation: The activation of the last block.
        normalization: `"batch"`, `"layer"`, or `None`: before each activation but the last.
        dropout: Fraction of the activations to drop in training, in [0, 1).
        residual: Whether each block whose input has as many features as its output adds its input
            to its output; the last one too.
        seed: Integer that makes the dropout masks reproducible, or `None`.
        **kwargs: Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: Tensor `(batch, ..., features)`.
        mask: Boolean tensor on the leading axes of `inputs`, `True` where a step is valid.
        training: Whether to run as in training.

    Input shape:
        `(batch, ..., features)`, any rank of 2 or more, `features` known.

    Output shape:
        `(batch, ..., units[-1])`.

    Raises:
        TypeError: An argument has the wrong type, or the mask is not boolean.
        ValueError: An argument has a value that cannot be, the rank is less than 2, `features` is
            unknown or not `input_dim`, or the mask does not fit.

    Example:

    >>> import tensorflow as tf
    >>> import tfk_patterns
    >>> mlp = tfk_patterns.layers.MLP([8, 3], input_dim=4)
    >>> [tuple(weight.shape) for weight in mlp.trainable_weights]
    [(4, 8), (8,), (8, 3), (3,)]
    >>> tuple(mlp(tf.zeros((2, 5, 4))).shape)
    (2, 5, 3)
    """

    def __init__(
        self,
        units: Sequence[int],
        activation: str | Callable | None = "relu",
        input_dim: int | None = None,
        final_activation: str | Callable | None = None,
        normalization: str | None = None,
        dropout: float = 0.0,
        residual: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.units = _as_units(units)
        self.activation = as_activation("activation", activation)
        self.final_activation = as_activation("final_activation", final_activation)
        self.input_dim = input_dim
        self.normalization = _as_normalization(normalization)
        self.dropout = _validate.fraction("dropout", dropout)
        self.residual = _validate.boolean("residual", residual)
        self.seed = None if seed is None else _validate.seed("seed", seed)
        self.supports_masking = True
        if input_dim is not None:
            self.build((None, _validate.positive_integer("input_dim", input_dim)))

    def build(self, input_shape) -> None:
        _validate.rank_at_least("inputs", input_shape, 2, _AXES)
        features = _validate.known_axis("inputs", input_shape, -1, "the features")
        if self.built:  # in the constructor
            return
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: features})
        hidden = range(len(self.units) - 1)
        common = {"dtype": self.dtype_policy}
        self.dense_layers = [
            keras.layers.Dense(units, name=f"dense_{block}", **common)
            for block, units in enumerate(self.units)
        ]
        self.normalization_layers = [
            _NORMALIZATIONS[self.normalization](name=f"normalization_{block}", **common)
            for block in (hidden if self.normalization else ())
        ]
        for block, layer in enumerate(self.dense_layers):
            self._build_sublayer(layer, self.units[block - 1] if block else features)
        for block, layer in enumerate(self.normalization_layers):
            self._build_sublayer(layer, self.units[block])
        drops = self.dropout and hidden
        self.random_state = add_random_state(self, self.seed) if drops else None
        self.built = True

    def _build_sublayer(self, layer, features):
        with tf.name_scope(layer.name):  # for the names of weights on Keras 2
            layer.build((None, features))

    def call(self, inputs, mask=None, training: bool | None = None) -> tf.Tensor:
        mask = as_checked_mask(mask, inputs)
        if inputs.shape.rank == 2:
            return self._blocks(inputs, mask, training)
        # Rows of features: a normalisation of Keras 2 keeps to the rank it was built with.
        leading = tf.shape(inputs)[:-1]
        if mask is not None:
            mask = expand_mask(mask, inputs.shape.rank - 1)
            mask = tf.reshape(tf.broadcast_to(mask, leading), [-1])
        outputs = self._blocks(tf.reshape(inputs, [-1, inputs.shape[-1]]), mask, training)
        outputs = tf.reshape(outputs, tf.concat([leading, [self.units[-1]]], axis=0))
        return tf.ensure_shape(outputs, [*inputs.shape[:-1], self.units[-1]])

    def _blocks(self, x, mask, training):
        last = len(self.units) - 1
        for block, dense in enumerate(self.dense_layers):
            before, x = x, dense(x, training=training)
            if block == last:
                x = self.final_activation(x)
            else:
                x = self._activated(block, x, mask, training)
            if self.residual and before.shape[-1] == x.shape[-1]:
                x += before
        return x

    def _activated(self, block, x, mask, training):
        if self.normalization == "batch":
            x = self.normalization_layers[block](x, mask=mask, training=training)
        elif self.normalization == "layer":
            x = self.normalization_layers[block](x, training=training)
        x = self.activation(x)
        if self.random_state is not None and training:
            x = drop(x, self.dropout, self.random_state)
        return x

    def compute_mask(self, inputs, mask=None) -> tf.Tensor | None:
        return passed_on(mask, inputs)

    def compute_output_shape(self, input_shape) -> tuple[int | None, ...]:
        _validate.rank_at_least("inputs", input_shape, 2, _AXES)
        return (*tuple(input_shape)[:-1], self.units[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": list(self.units),
            "activation": keras.activations.serialize(self.activation),
            "input_dim": self.input_dim,
            "final_activation": keras.activations.serialize(self.final_activation),
            "normalization": self.normalization,
            "dropout": self.dropout,
            "residual": self.residual,
            "seed": self.seed,
        }


def _batch_normalization(**kwargs):
    return BatchNormDropout(activation=None, rate=0.0, **kwargs)


_NORMALIZATIONS = {
    "batch": _batch_normalization,
    "layer": keras.layers.LayerNormalization,
}


def _as_normalization(normalization):
    expected = f"None or one of {', '.join(map(repr, _NORMALIZATIONS))}"
    if not (normalization is None or isinstance(normalization, str)):
        raise _validate.type_error("normalization", expected, normalization)
    if normalization is not None and normalization not in _NORMALIZATIONS:
        raise _validate.value_error("normalization", expected, normalization)
    return normalization


def _as_units(units):
    expected = "a list of one or more integers of at least 1"
    if not isinstance(units, list | tuple):
        raise _validate.type_error("units", expected, units)
    sizes = tuple(_validate.integer("units", size) for size in units)
    if not sizes or min(sizes) < 1:
        raise _validate.value_error("units", expected, units)
    return sizes
