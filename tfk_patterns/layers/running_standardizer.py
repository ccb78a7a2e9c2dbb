"""Standardisation by the statistics of all that was seen in training."""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, _validate
from tfk_patterns.layers._masking import (
    as_checked_mask,
    expand_mask,
    passed_on,
    zero_masked,
)
from tfk_patterns.layers._statistics import at_least_float32, sum_over_replicas

_AXES = "(batch, ..., features)"
_SMALLEST_STD = 1e-7  # as in Keras' Normalization


@_keras.register
class RunningStandardizer(keras.layers.Layer):
    """Standardises features with the mean and variance of all it has seen in training.

    `(x - mean) / max(std, 1e-7)`, as `keras.layers.Normalization`, which needs a separate pass over
    the data (`adapt`) before the training; this layer learns as the data come. In training it
    updates its statistics with the batch, then standardises with them; in inference, and with
    `trainable=False`, it leaves them alone. After one epoch they are those of the data set,
    whatever the order and the sizes of the batches. They go on after a reload.

    The statistics are the weights `mean` and `variance`, in float64 and over all replicas, and
    `count`, in int64, whatever the dtype policy; a policy of half precision does not round the
    inputs before they are counted, but an `Input` rounds float64 data to its own dtype. No
    gradient runs through them: the layer's is `1 / max(std, 1e-7)`. Before any data the mean is 0
    and the variance 1.

    With `momentum`, for data that drift, a batch weighs at least `1 - momentum`: old data are
    forgotten, after a start in which all count alike.

    Masks are passed on; masked steps do not count.

    Args:
        axis: The axis or axes that keep a mean of their own, as in `Normalization`; `None` for one
            mean of all values. Not the batch axis.
        momentum: In [0, 1), or `None` to count all data alike.
        **kwargs: Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: Tensor `(batch, ..., features)` of floats or integers.
        mask: Boolean tensor on the leading axes of `inputs`, `True` where a step is valid; not on
            an axis in `axis`.
        training: Whether to count the batch.

    Input shape:
        `(batch, ..., features)`, any rank of 2 or more; sizes along `axis` known.

    Output shape:
        That of the input.

    Raises:
        TypeError: An argument has the wrong type, or the mask is not boolean.
        ValueError: An argument has a value that cannot be, the rank is less than 2, a size along
            `axis` is unknown, or the mask does not fit.

    Example:

    >>> import tensorflow as tf
    >>> import tfk_patterns
    >>> layer = tfk_patterns.layers.RunningStandardizer()
    >>> _ = layer(tf.constant([[1.0], [3.0]]), training=True)
    >>> layer(tf.constant([[4.0]])).numpy().tolist()  # mean 2, variance 1
    [[2.0]]

    Reference:
        Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance", 1983,
        https://doi.org/10.1080/00031305.1983.10483115
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        momentum: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)
        self.axis = _as_axes(axis)
        self.momentum = None if momentum is None else _validate.fraction("momentum", momentum)
        self.supports_masking = True

    def build(self, input_shape) -> None:
        _validate.rank_at_least("inputs", input_shape, 2, _AXES)
        rank = len(input_shape)
        self._kept = _positive(self.axis, rank)
        shape = [1] * rank
        for axis in self._kept:
            shape[axis] = _validate.known_axis("inputs", input_shape, axis, "a mean for each")
        self._shape = tuple(shape)
        self.input_spec = keras.layers.InputSpec(
            ndim=rank, axes={axis: shape[axis] for axis in self._kept}
        )
        kept = tuple(shape[axis] for axis in self._kept)
        self.mean = _keras.add_exact_weight(self, name="mean", shape=kept, dtype="float64")
        self.variance = _keras.add_exact_weight(
            self, name="variance", shape=kept, dtype="float64", initializer="ones"
        )
        self.count = _keras.add_exact_weight(self, name="count", dtype="int64")
        self.built = True

    def call(self, inputs, mask=None, training: bool | None = None) -> tf.Tensor:
        mask = as_checked_mask(mask, inputs)
        self._check_mask_axes(mask)
        if training and self.trainable:
            mean, variance = self._updated(tf.stop_gradient(inputs), mask)
        else:
            mean, variance = tf.convert_to_tensor(self.mean), tf.convert_to_tensor(self.variance)
        scale = 1 / tf.maximum(tf.sqrt(variance), _SMALLEST_STD)
        if not inputs.dtype.is_floating:
            inputs = tf.cast(inputs, tf.float64)
        inputs = at_least_float32(inputs)
        mean, scale = (tf.reshape(statistic, self._shape) for statistic in (mean, scale))
        # What float32 cannot hold of a large mean would move all outputs: it is taken off apart.
        near = tf.cast(mean, inputs.dtype)
        rest = tf.cast((mean - tf.cast(near, mean.dtype)) * scale, inputs.dtype)
        outputs = (inputs - near) * tf.cast(scale, inputs.dtype) - rest
        return tf.cast(outputs, self.compute_dtype)

    def _updated(self, inputs, mask):
        """Counts a batch: the parallel update of Chan et al., by the weight of the batch."""
        count, batch_mean, batch_variance = self._of_batch(tf.cast(inputs, tf.float64), mask)
        seen, mean, variance = (
            tf.convert_to_tensor(state) for state in (self.count, self.mean, self.variance)
        )
        total = seen + count
        weight = tf.math.divide_no_nan(tf.cast(count, tf.float64), tf.cast(total, tf.float64))
        if self.momentum is not None:
            least = tf.constant(1 - self.momentum, tf.float64)
            weight = tf.where(count > 0, tf.maximum(weight, least), weight)
        delta = batch_mean - mean
        mean += weight * delta
        variance = (1 - weight) * (variance + weight * tf.square(delta)) + weight * batch_variance
        self.count.assign(total)
        self.mean.assign(mean)
        self.variance.assign(variance)
        return mean, variance

    def _of_batch(self, inputs, mask):
        """How many values each mean is over, the means and the variances, over all replicas."""
        axes = [axis for axis in range(inputs.shape.rank) if axis not in self._kept] + self._kept
        rows = inputs if axes == sorted(axes) else tf.transpose(inputs, axes)
        rows = tf.reshape(rows, (-1, math.prod(self._shape)))
        if mask is None:
            valid = tf.ones(tf.shape(rows)[0], tf.bool)
        else:
            sizes = tf.unstack(tf.shape(inputs), inputs.shape.rank)
            sizes = [1 if axis in self._kept else size for axis, size in enumerate(sizes)]
            valid = tf.reshape(tf.broadcast_to(expand_mask(mask, inputs.shape.rank), sizes), [-1])
            rows = zero_masked(rows, valid)
        ones = tf.cast(valid, tf.float64)[tf.newaxis]
        count = sum_over_replicas(tf.math.count_nonzero(valid))
        divisor = tf.cast(count, tf.float64)
        # Products with ones, since TensorFlow adds up columns at a third of that speed.
        mean = tf.math.divide_no_nan(sum_over_replicas(tf.matmul(ones, rows)), divisor)
        squares = tf.matmul(ones, tf.math.squared_difference(rows, mean))
        variance = tf.math.divide_no_nan(sum_over_replicas(squares), divisor)
        return count, *(tf.reshape(one, self.mean.shape) for one in (mean, variance))

    def _check_mask_axes(self, mask):
        if mask is not None and any(axis < mask.shape.rank for axis in self._kept):
            raise ValueError(
                "`axis` must hold no axis of the mask: masked steps are left out of a mean over "
                f"them. Received: axis={self.axis!r}, mask of shape {tuple(mask.shape)}"
            )

    def compute_mask(self, inputs, mask=None) -> tf.Tensor | None:
        return passed_on(mask, inputs)

    def compute_output_shape(self, input_shape) -> tuple[int | None, ...]:
        _validate.rank_at_least("inputs", input_shape, 2, _AXES)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        axis = list(self.axis) if isinstance(self.axis, tuple) else self.axis
        return {**super().get_config(), "axis": axis, "momentum": self.momentum}


def _as_axes(axis):
    expected = "an integer, several integers, or None"
    if axis is None:
        return None
    if isinstance(axis, list | tuple):
        if not axis:
            raise _validate.value_error("axis", expected, axis)
        return tuple(_validate.integer("axis", one, expected) for one in axis)
    return _validate.integer("axis", axis, expected)


def _positive(axis, rank) -> list[int]:
    """The axes counted from the start, in order."""
    axes = [] if axis is None else [axis] if isinstance(axis, int) else axis
    positive = sorted({one % rank for one in axes if -rank <= one < rank})
    if len(positive) != len(axes) or 0 in positive:
        expected = f"different axes of inputs of rank {rank}, none of them the batch axis 0"
        raise _validate.value_error("axis", expected, axis)
    return positive
