"""Slowly changing activations: successive steps are drawn to each other."""

import tensorflow as tf

from tfk_patterns import _keras, _validate
from tfk_patterns.layers.base_activity_regularization import BaseActivityRegularization


@_keras.register
class TemporalActivityRegularization(BaseActivityRegularization):
    """Adds the squared difference of successive valid steps (TAR) to the loss.

    Each sample gives the mean over its pairs of successive valid steps and over the features; the
    penalty is the mean over the samples. Without a mask that is the mean over all pairs and
    features, as the authors' code takes it, so their factors carry over. Successive are two valid
    steps with none but masked ones between them. A sample with fewer than two valid steps adds 0.

    Args:
        weight: Factor of the penalty, at least 0.
        warmup_steps: Number of training steps over which `weight` grows linearly; 0 for none.
        **kwargs: Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: Tensor `(batch, steps, features)`.
        mask: Boolean tensor `(batch, steps)`, `True` where a step is valid.
        training: Whether a training step is counted, for `warmup_steps`.

    Input shape:
        `(batch, steps, features)`.

    Output shape:
        That of the input, which passes unchanged, and its mask with it.

    Raises:
        TypeError: An argument has the wrong type, or the mask is not boolean.
        ValueError: `weight` is negative, the rank is not 3, or the mask does not fit.

    Example:

    >>> import tensorflow as tf
    >>> import tfk_patterns
    >>> layer = tfk_patterns.layers.TemporalActivityRegularization()
    >>> steps = tf.constant([[[0.0], [1.0], [9.0], [3.0]]])
    >>> outputs = layer(steps, mask=tf.constant([[True, True, False, True]]))
    >>> float(layer.losses[0])  # ((1 - 0)**2 + (3 - 1)**2) / 2 pairs
    2.5

    Reference:
        Merity et al., "Revisiting Activation Regularization for Language RNNs", 2017,
        https://arxiv.org/abs/1708.01009
    """

    mask_rank = 2

    def check_shape(self, shape) -> None:
        _validate.rank("inputs", shape, 3, "(batch, steps, features)")

    def penalty(self, inputs: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        if mask is None:
            mask = tf.ones(tf.shape(inputs)[:2], tf.bool)
        else:
            inputs, mask = _valid_steps_first(inputs, mask)
        pairs = mask[:, 1:]
        squares = tf.reduce_mean(tf.square(inputs[:, 1:] - inputs[:, :-1]), axis=-1)
        pair_count = tf.reduce_sum(tf.cast(pairs, inputs.dtype), axis=1, keepdims=True)
        return self.mean_over_samples(tf.math.divide_no_nan(squares, pair_count), pairs)


def _valid_steps_first(inputs, mask):
    """Moves each sample's valid steps to the front, in their order; the mask likewise."""
    steps = tf.shape(mask)[1]
    position = tf.range(steps)
    order = tf.argsort(tf.where(mask, position, position + steps), axis=1)
    return tf.gather(inputs, order, batch_dims=1), tf.gather(mask, order, batch_dims=1)
