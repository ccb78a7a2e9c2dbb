"""L1 and L2 penalty on activations."""

from typing import Any

import tensorflow as tf

from tfk_patterns import _keras, _validate
from tfk_patterns.layers.base_activity_regularization import BaseActivityRegularization


@_keras.register
class L1L2ActivityRegularization(BaseActivityRegularization):
    """Adds `l1 * sum(|x|) + l2 * sum(x**2)` of each sample, averaged over the batch, to the loss.

    Without a mask it adds what `keras.layers.ActivityRegularization` adds on Keras 2 and from
    Keras 3.14 on; masked steps, which that layer counts, are left out.

    Args:
        l1: Factor of the absolute values, at least 0.
        l2: Factor of the squares, at least 0.
        weight: Factor of the whole, at least 0.
        warmup_steps: Number of training steps over which `weight` grows linearly; 0 for none.
        **kwargs: Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: Tensor `(batch, ...)`.
        mask: Boolean tensor on the leading axes of `inputs`, `True` where a step is valid.
        training: Whether a training step is counted, for `warmup_steps`.

    Input shape:
        `(batch, ...)`, any rank of 2 or more.

    Output shape:
        That of the input, which passes unchanged, and its mask with it.

    Raises:
        TypeError: An argument has the wrong type, or the mask is not boolean.
        ValueError: A factor is negative, or the mask does not fit the inputs.

    Example:

    >>> import tensorflow as tf
    >>> import tfk_patterns
    >>> layer = tfk_patterns.layers.L1L2ActivityRegularization(l1=1.0, l2=0.1)
    >>> outputs = layer(tf.constant([[1.0, -2.0], [0.0, 5.0]]))
    >>> float(layer.losses[0])  # (1 * 8 + 0.1 * 30) / 2 samples
    5.5
    """

    def __init__(
        self,
        l1: float = 0.0,
        l2: float = 0.0,
        weight: float = 1.0,
        warmup_steps: int = 0,
        **kwargs: Any,
    ):
        super().__init__(weight=weight, warmup_steps=warmup_steps, **kwargs)
        self.l1 = _validate.non_negative("l1", l1)
        self.l2 = _validate.non_negative("l2", l2)

    def penalty(self, inputs: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        # Sums first, then factors: one pass over the inputs for each.
        total = tf.zeros((), inputs.dtype)
        if self.l1:
            total += self.l1 * tf.reduce_sum(tf.abs(inputs))
        if self.l2:
            total += 2 * self.l2 * tf.nn.l2_loss(inputs)
        return tf.math.divide_no_nan(total, tf.cast(tf.shape(inputs)[0], inputs.dtype))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "l1": self.l1, "l2": self.l2}
