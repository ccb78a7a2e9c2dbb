"""Base of the layers that add a penalty on their input to the loss."""

from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, _validate
from tfk_patterns.layers._masking import as_checked_mask, passed_on, zero_masked
from tfk_patterns.layers._statistics import at_least_float32
from tfk_patterns.layers._warmup import add_step, next_weight


@_keras.register
class BaseActivityRegularization(keras.layers.Layer):
    """Passes its input on unchanged and adds `weight * penalty(inputs, mask)` to the loss.

    A subclass writes `penalty`. The loss is added in training and in inference alike, so that
    `loss` and `val_loss` compare, and has the same value on every Keras: Keras' own
    `activity_regularizer` divides by the batch size on Keras 2 and from Keras 3.14 on, and did not
    in between.

    With `warmup_steps` the weight grows linearly: in the k-th training step it is
    `weight * min(1, k / warmup_steps)`. Inference uses the weight that the last training step
    had, so 0 before the first one. The steps are counted in a non-trainable weight, once per
    step also under replicas; a layer that is shared counts each of its training calls.

    Masks are passed on. `penalty` gets zeros in the masked steps; `mean_over_samples` leaves them
    out.

    To save and load a model with a layer of your own, register its class with
    `keras.utils.register_keras_serializable()`, and add its own arguments to `get_config`.

    Args:
        weight: Factor of the penalty, at least 0.
        warmup_steps: Number of training steps over which the weight grows; 0 for none.
        **kwargs: Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: Tensor `(batch, ...)`.
        mask: Boolean tensor on the leading axes of `inputs`, `True` where a step is valid.
        training: Whether a training step is counted.

    Input shape:
        `(batch, ...)`, any rank of 2 or more.

    Output shape:
        That of the input.

    Raises:
        TypeError: An argument has the wrong type, or the mask is not boolean.
        ValueError: An argument has a value that cannot be, the mask does not fit the inputs, or
            `penalty` returned something other than one scalar.

    Example:

    >>> import tensorflow as tf
    >>> import tfk_patterns
    >>> class MeanSquare(tfk_patterns.layers.BaseActivityRegularization):
    ...     def penalty(self, inputs, mask):
    ...         return self.mean_over_samples(tf.square(inputs), mask)
    >>> layer = MeanSquare(weight=0.5)
    >>> outputs = layer(tf.constant([[1.0, 2.0], [3.0, 4.0]]))
    >>> float(layer.losses[0])  # 0.5 * (1 + 4 + 9 + 16) / 2 samples
    7.5
    """

    # Number of axes that a mask must have; None for any number less than that of the inputs.
    mask_rank: int | None = None

    def __init__(self, weight: float = 1.0, warmup_steps: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.weight = _validate.non_negative("weight", weight)
        self.warmup_steps = _validate.non_negative_integer("warmup_steps", warmup_steps)
        self.supports_masking = True
        _keras.keep_losses_per_replica(self)

    def penalty(self, inputs: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        """The penalty before its weight; a subclass writes it.

        Args:
            inputs: The layer's input in float32 (float64 where it is that), with zeros in the
                masked steps.
            mask: Boolean tensor on the leading axes of `inputs`, or `None`.

        Returns:
            One scalar, unchanged when the batch is tiled, and 0 for an empty batch.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement penalty(inputs, mask).")

    def mean_over_samples(self, values: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        """The mean over the samples of the sum of each one's values, masked steps left out.

        A sample without a valid step counts as one with a sum of 0.

        Args:
            values: Tensor `(batch, ...)`.
            mask: Boolean tensor on the leading axes of `values`, or `None`.

        Returns:
            A scalar in the dtype of `values`; 0 for an empty batch.
        """
        samples = tf.cast(tf.shape(values)[0], values.dtype)
        return tf.math.divide_no_nan(tf.reduce_sum(zero_masked(values, mask)), samples)

    def check_shape(self, shape) -> None:
        """Raises a `ValueError` unless the shape of the inputs is one the penalty can take."""
        _validate.rank_at_least("inputs", shape, 2, "(batch, ..., features)")

    def build(self, input_shape) -> None:
        self.check_shape(input_shape)
        add_step(self)
        self.built = True

    def call(self, inputs, mask=None, training: bool | None = None) -> tf.Tensor:
        self.check_shape(inputs.shape)
        mask = as_checked_mask(mask, inputs, self.mask_rank)
        weight = next_weight(self, self.weight, training)
        penalty = self._checked(self.penalty(zero_masked(at_least_float32(inputs), mask), mask))
        # Keras 3 sums the losses of a model without a cast, so all have its default dtype.
        self.add_loss(tf.cast(penalty, keras.backend.floatx()) * weight)
        return inputs

    def _checked(self, penalty):
        expected = (
            f"`penalty` of {type(self).__name__} must return one scalar; "
            "`mean_over_samples(values, mask)` makes one. Received: "
        )
        if penalty is None:
            raise TypeError(f"{expected}None")
        penalty = tf.convert_to_tensor(penalty)
        if penalty.shape.rank not in (0, None):
            raise ValueError(f"{expected}a tensor of shape {tuple(penalty.shape)}")
        return penalty

    def compute_mask(self, inputs, mask=None) -> tf.Tensor | None:
        return passed_on(mask, inputs, self.mask_rank)

    def compute_output_shape(self, input_shape) -> tuple[int | None, ...]:
        self.check_shape(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "weight": self.weight,
            "warmup_steps": self.warmup_steps,
        }
