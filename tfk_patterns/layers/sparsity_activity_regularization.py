"""Sparse activations: each unit's mean activation is drawn to a small target."""

import math
from typing import Any

import tensorflow as tf

from tfk_patterns import _keras, _validate
from tfk_patterns.layers._statistics import count_valid, sum_over_replicas
from tfk_patterns.layers.base_activity_regularization import BaseActivityRegularization

_EPSILON = 1e-7  # keeps the logarithms finite, as Keras' own losses do


@_keras.register
class SparsityActivityRegularization(BaseActivityRegularization):
    """Adds the KL divergence between `target` and each unit's mean activation to the loss.

    `sum over units of target * log(target / mean) + (1 - target) * log((1 - target) / (1 - mean))`
    for activations in (0, 1), such as a sigmoid's. The mean of a unit is taken over all valid
    positions of the batch, over all replicas. Means are clipped to [1e-7, 1 - 1e-7].

    Args:
        target: Mean activation that every unit is drawn to, in (0, 1).
        weight: Factor of the penalty, at least 0.
        warmup_steps: Number of training steps over which `weight` grows linearly; 0 for none.
        **kwargs: Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: Tensor `(batch, ..., features)` with values in (0, 1).
        mask: Boolean tensor on the leading axes of `inputs`, `True` where a step is valid.
        training: Whether a training step is counted, for `warmup_steps`.

    Input shape:
        `(batch, ..., features)`, any rank of 2 or more.

    Output shape:
        That of the input, which passes unchanged, and its mask with it.

    Raises:
        TypeError: An argument has the wrong type, or the mask is not boolean.
        ValueError: `target` is not in (0, 1), `weight` is negative, or the mask does not fit.

    Example:

    >>> import tensorflow as tf
    >>> import tfk_patterns
    >>> layer = tfk_patterns.layers.SparsityActivityRegularization(target=0.1)
    >>> outputs = layer(tf.constant([[0.1, 0.5], [0.1, 0.5]]))
    >>> round(float(layer.losses[0]), 4)  # the first unit is on target
    0.3681

    Reference:
        Ng, "Sparse autoencoder", CS294A Lecture notes, Stanford, 2011.
    """

    def __init__(
        self, target: float = 0.05, weight: float = 1.0, warmup_steps: int = 0, **kwargs: Any
    ):
        super().__init__(weight=weight, warmup_steps=warmup_steps, **kwargs)
        self.target = _validate.open_fraction("target", target)

    def penalty(self, inputs: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        count = sum_over_replicas(count_valid(inputs, mask))
        sums = sum_over_replicas(tf.reduce_sum(inputs, axis=range(inputs.shape.rank - 1)))
        mean = tf.clip_by_value(tf.math.divide_no_nan(sums, count), _EPSILON, 1 - _EPSILON)
        on, off = self.target, 1 - self.target
        divergence = on * (math.log(on) - tf.math.log(mean))
        divergence += off * (math.log(off) - tf.math.log(1 - mean))
        return tf.where(count > 0, tf.reduce_sum(divergence), tf.zeros((), inputs.dtype))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target": self.target}
