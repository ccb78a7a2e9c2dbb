"""Standardisation of each sequence by itself."""

from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, _validate
from tfk_patterns.layers._masking import as_checked_mask, passed_on, zero_masked
from tfk_patterns.layers._statistics import at_least_float32

_AXES = "(batch, steps, features)"


@_keras.register
class MaskedSequenceNormalization(keras.layers.Layer):
    """Standardises each feature of each sequence over the sequence's valid steps.

    `(x - mean) / sqrt(variance + epsilon)`, with mean and variance of the one sample, so that
    training and inference are the same and no sample depends on another. Computed in float32 at
    least. Masked steps give zeros, and the mask is passed on. A sequence with one valid step gives
    zeros.

    Args:
        epsilon: Added to the variance, more than 0.
        **kwargs: Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: Tensor `(batch, steps, features)`.
        mask: Boolean tensor `(batch, steps)`, `True` where a step is valid.

    Input shape:
        `(batch, steps, features)`.

    Output shape:
        That of the input.

    Raises:
        TypeError: An argument has the wrong type, or the mask is not boolean.
        ValueError: `epsilon` is not more than 0, the rank is not 3, or the mask does not fit.

    Example:

    >>> import tensorflow as tf
    >>> import tfk_patterns
    >>> layer = tfk_patterns.layers.MaskedSequenceNormalization(epsilon=1e-9)
    >>> steps = tf.constant([[[1.0], [3.0], [99.0]]])
    >>> layer(steps, mask=tf.constant([[True, True, False]])).numpy().ravel().tolist()
    [-1.0, 1.0, 0.0]

    Reference:
        Ulyanov, Vedaldi and Lempitsky, "Instance Normalization", 2016,
        https://arxiv.org/abs/1607.08022
    """

    def __init__(self, epsilon: float = 1e-3, **kwargs: Any):
        super().__init__(**kwargs)
        self.epsilon = _validate.positive("epsilon", epsilon)
        self.supports_masking = True

    def build(self, input_shape) -> None:
        _validate.rank("inputs", input_shape, 3, _AXES)
        self.built = True

    def call(self, inputs, mask=None) -> tf.Tensor:
        _validate.rank("inputs", inputs.shape, 3, _AXES)
        mask = as_checked_mask(mask, inputs, rank=2)
        values = zero_masked(at_least_float32(inputs), mask)
        if mask is None:
            counts = tf.cast(tf.shape(inputs)[1], values.dtype)
        else:
            counts = tf.reduce_sum(tf.cast(mask, values.dtype), axis=1)[:, tf.newaxis, tf.newaxis]
        mean = tf.math.divide_no_nan(tf.reduce_sum(values, axis=1, keepdims=True), counts)
        centred = zero_masked(values - mean, mask)
        squares = tf.reduce_sum(tf.square(centred), axis=1, keepdims=True)
        variance = tf.math.divide_no_nan(squares, counts)
        return tf.cast(centred * tf.math.rsqrt(variance + self.epsilon), self.compute_dtype)

    def compute_mask(self, inputs, mask=None) -> tf.Tensor | None:
        return passed_on(mask, inputs, rank=2)

    def compute_output_shape(self, input_shape) -> tuple[int | None, ...]:
        _validate.rank("inputs", input_shape, 3, _AXES)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon}
