"""Pooling over the valid steps of a sequence."""

from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, _validate
from tfk_patterns.layers._masking import as_checked_mask, check_mask, zero_masked
from tfk_patterns.layers._statistics import at_least_float32

_AXES = "(batch, steps, features)"


@_keras.register
class MaskedPooling1D(keras.layers.Layer):
    """Pools each feature over the unmasked steps of a sequence.

    Without a mask all steps count. A sample with no valid step gives zeros, and zero gradients,
    where `keras.layers.GlobalAveragePooling1D` gives NaN. The mask is consumed: the output has
    none. `mean` and `sum` add up in float32 at least. Equal maxima (or minima) share the gradient.

    Args:
        pooling: `"mean"`, `"max"`, `"min"`, `"sum"`, or `"first"` or `"last"` valid step.
        keepdims: Whether the step axis stays, with size 1.
        **kwargs: Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: Tensor `(batch, steps, features)`.
        mask: Boolean tensor `(batch, steps)`, `True` where a step is valid.

    Input shape:
        `(batch, steps, features)`.

    Output shape:
        `(batch, features)`, or `(batch, 1, features)` with `keepdims=True`.

    Raises:
        TypeError: An argument has the wrong type, or the mask is not boolean.
        ValueError: `pooling` is unknown, the rank is not 3, or the mask does not fit.

    Example:

    >>> import tensorflow as tf
    >>> import tfk_patterns
    >>> layer = tfk_patterns.layers.MaskedPooling1D("mean")
    >>> steps = tf.constant([[[1.0], [3.0], [99.0]], [[99.0], [99.0], [99.0]]])
    >>> mask = tf.constant([[True, True, False], [False, False, False]])
    >>> layer(steps, mask=mask).numpy().tolist()
    [[2.0], [0.0]]
    """

    def __init__(self, pooling: str = "mean", keepdims: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.pooling = _validate.one_of("pooling", pooling, _POOLINGS)
        self.keepdims = _validate.boolean("keepdims", keepdims)
        self.supports_masking = True

    def build(self, input_shape) -> None:
        _validate.rank("inputs", input_shape, 3, _AXES)
        self.built = True

    def call(self, inputs, mask=None) -> tf.Tensor:
        _validate.rank("inputs", inputs.shape, 3, _AXES)
        mask = as_checked_mask(mask, inputs, rank=2)
        if mask is None:
            mask = tf.ones(tf.shape(inputs)[:2], tf.bool)
        inputs = tf.cast(inputs, self.compute_dtype)
        outputs = tf.cast(_POOLINGS[self.pooling](inputs, mask), self.compute_dtype)
        return outputs[:, tf.newaxis] if self.keepdims else outputs

    def compute_mask(self, inputs, mask=None) -> None:
        check_mask(mask, inputs.shape, rank=2)
        return None

    def compute_output_shape(self, input_shape) -> tuple[int | None, ...]:
        _validate.rank("inputs", input_shape, 3, _AXES)
        batch, _, features = tuple(input_shape)
        return (batch, 1, features) if self.keepdims else (batch, features)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pooling": self.pooling, "keepdims": self.keepdims}


def _sum(inputs, mask):
    return tf.reduce_sum(zero_masked(at_least_float32(inputs), mask), axis=1)


def _mean(inputs, mask):
    sums = _sum(inputs, mask)
    counts = tf.reduce_sum(tf.cast(mask, sums.dtype), axis=1, keepdims=True)
    return tf.math.divide_no_nan(sums, counts)


def _max(inputs, mask):
    lowest = tf.constant(float("-inf"), inputs.dtype)
    maxima = tf.reduce_max(tf.where(mask[..., tf.newaxis], inputs, lowest), axis=1)
    return zero_masked(maxima, tf.reduce_any(mask, axis=1))


def _min(inputs, mask):
    return -_max(-inputs, mask)


def _first(inputs, mask):
    valid_so_far = tf.cumsum(tf.cast(mask, tf.int32), axis=1)
    return _sum(inputs, mask & (valid_so_far == 1))


def _last(inputs, mask):
    return _first(inputs[:, ::-1], mask[:, ::-1])


_POOLINGS = {
    "mean": _mean,
    "max": _max,
    "min": _min,
    "sum": _sum,
    "first": _first,
    "last": _last,
}
