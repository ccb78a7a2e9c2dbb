"""Decorrelated activations: the covariance between units is drawn to zero."""

import tensorflow as tf

from tfk_patterns import _keras, _validate
from tfk_patterns.layers._masking import zero_masked
from tfk_patterns.layers._statistics import moments, sum_over_replicas
from tfk_patterns.layers.base_activity_regularization import BaseActivityRegularization


@_keras.register
class DecorrelationActivityRegularization(BaseActivityRegularization):
    """Adds half the sum of the squared covariances between different units (DeCov) to the loss.

    `0.5 * (sum(C**2) - sum(diag(C)**2))`, where `C` is the covariance matrix of the units over all
    valid positions of the batch, over all replicas, divided by their number. It takes memory for
    `features * features` numbers.

    Args:
        weight: Factor of the penalty, at least 0.
        warmup_steps: Number of training steps over which `weight` grows linearly; 0 for none.
        **kwargs: Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: Tensor `(batch, ..., features)`.
        mask: Boolean tensor on the leading axes of `inputs`, `True` where a step is valid.
        training: Whether a training step is counted, for `warmup_steps`.

    Input shape:
        `(batch, ..., features)`, any rank of 2 or more, `features` known.

    Output shape:
        That of the input, which passes unchanged, and its mask with it.

    Raises:
        TypeError: An argument has the wrong type, or the mask is not boolean.
        ValueError: `weight` is negative, `features` is unknown, or the mask does not fit.

    Example:

    >>> import tensorflow as tf
    >>> import tfk_patterns
    >>> layer = tfk_patterns.layers.DecorrelationActivityRegularization()
    >>> outputs = layer(tf.constant([[1.0, 2.0], [-1.0, -2.0]]))
    >>> float(layer.losses[0])  # the covariance is 2, and 0.5 * (2**2 + 2**2) = 4
    4.0

    Reference:
        Cogswell et al., "Reducing Overfitting in Deep Networks by Decorrelating
        Representations", ICLR 2016, https://arxiv.org/abs/1511.06068
    """

    def check_shape(self, shape) -> None:
        super().check_shape(shape)
        _validate.known_axis("inputs", shape, -1, "the units to decorrelate")

    def penalty(self, inputs: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        mean, _, count = moments(inputs, mask, synchronized=True)
        centred = tf.reshape(zero_masked(inputs - mean, mask), (-1, inputs.shape[-1]))
        products = sum_over_replicas(tf.matmul(centred, centred, transpose_a=True))
        covariance = tf.math.divide_no_nan(products, count)
        # Without the diagonal before squaring: a difference of sums would drown in large variances.
        off_diagonal = tf.linalg.set_diag(
            covariance, tf.zeros(tf.shape(covariance)[:1], mean.dtype)
        )
        return 0.5 * tf.reduce_sum(tf.square(off_diagonal))
