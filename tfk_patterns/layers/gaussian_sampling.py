"""Sampling from a learned Gaussian, with the divergence from the standard normal as a loss."""

from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, _validate
from tfk_patterns.layers._masking import as_checked_mask, joint_mask, passed_on, zero_masked
from tfk_patterns.layers._pairs import as_pair, pair_of_shapes
from tfk_patterns.layers._random import add_random_state, normal_noise
from tfk_patterns.layers._statistics import at_least_float32, sum_over_replicas
from tfk_patterns.layers._warmup import add_step, next_weight
from tfk_patterns.layers.metric_tracking import MetricTracking

_EXPECTED = "a list of two tensors of one shape (batch, ..., features), mean and log variance"


@_keras.register
class GaussianSampling(MetricTracking, keras.layers.Layer):
    """Draws latent values from the Gaussian that an encoder gives, and adds their KL divergence.

    Takes `[mean, log_variance]`. In training it returns `mean + exp(log_variance / 2) * noise`
    (the reparameterisation, so that gradients reach both), in inference the mean. In both it adds
    `kl_weight` times the divergence from the standard normal,
    `sum over features of (exp(log_variance) + mean**2 - 1 - log_variance) / 2`, as a mean over the
    samples, to the loss, and reports that mean, without its weight, as the metric `"{layer}_kl"`
    (see `MetricTracking`). All is computed in float32 at least, and finite for log variances
    from -50 to 50 in float32 and bfloat16; float16 cannot hold a sample of such a variance.

    With `free_bits` each feature's mean divergence, over all samples and replicas, counts as at
    least that much, so that the loss does not push features below it; with inner axes a feature's
    divergence is the sum over them. With `warmup_steps` the weight grows linearly over the first
    training steps. Noise is drawn from the layer's own state, which is saved with its weights.

    Masks are passed on; two masks are joined by `and`. Masked positions add nothing to the loss.

    Args:
        kl_weight: Factor of the divergence in the loss, at least 0.
        free_bits: What a feature's divergence counts as at least, in nats.
        warmup_steps: Number of training steps over which the weight grows; 0 for none.
        seed: Integer that makes the noise reproducible, or `None`.
        **kwargs: Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: List of two tensors `(batch, ..., features)`: mean and log variance.
        mask: Boolean tensor on the leading axes of both, or a list of two such.
        training: Whether to sample.

    Input shape:
        Twice `(batch, ..., features)`, any rank of 2 or more.

    Output shape:
        `(batch, ..., features)`.

    Raises:
        TypeError: An argument has the wrong type, or a mask is not boolean.
        ValueError: An argument has a value that cannot be, the inputs are not two of one shape, or
            the mask does not fit.

    Example:

    >>> import tensorflow as tf
    >>> import tfk_patterns
    >>> layer = tfk_patterns.layers.GaussianSampling(seed=1)
    >>> layer([tf.constant([[3.0, 0.0]]), tf.zeros((1, 2))]).numpy().tolist()
    [[3.0, 0.0]]
    >>> float(layer.losses[0])  # 3**2 / 2
    4.5

    Reference:
        Kingma and Welling, "Auto-Encoding Variational Bayes", 2013, https://arxiv.org/abs/1312.6114;
        Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow", 2016,
        https://arxiv.org/abs/1606.04934 (`free_bits`)
    """

    def __init__(
        self,
        kl_weight: float = 1.0,
        free_bits: float = 0.0,
        warmup_steps: int = 0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.kl_weight = _validate.non_negative("kl_weight", kl_weight)
        self.free_bits = _validate.non_negative("free_bits", free_bits)
        self.warmup_steps = _validate.non_negative_integer("warmup_steps", warmup_steps)
        self.seed = None if seed is None else _validate.seed("seed", seed)
        self.supports_masking = True
        _keras.keep_losses_per_replica(self)
        self.declare_metric("kl", "mean")

    def build(self, input_shape) -> None:
        _check_shapes(input_shape)
        add_step(self)
        self.random_state = add_random_state(self, self.seed)
        self.built = True

    def call(self, inputs, mask=None, training: bool | None = None) -> tf.Tensor:
        _check_shapes([one.shape for one in as_pair(inputs, _EXPECTED)])
        mean, log_variance = inputs
        mask = as_checked_mask(joint_mask(mask), mean)
        wide_mean, wide_log_variance = at_least_float32(mean), at_least_float32(log_variance)
        self._add_divergence(
            zero_masked(wide_mean, mask), zero_masked(wide_log_variance, mask), training
        )
        if not training:
            return tf.identity(mean)
        noise = normal_noise(tf.shape(mean), self.random_state, wide_mean.dtype)
        sample = wide_mean + tf.exp(wide_log_variance / 2) * noise
        return tf.cast(sample, mean.dtype)

    def _add_divergence(self, mean, log_variance, training):
        # exp(v) - 1 - v loses all digits near 0, expm1(v) - v keeps them.
        divergence = (tf.math.expm1(log_variance) - log_variance + tf.square(mean)) / 2
        inner_axes = list(range(1, divergence.shape.rank - 1))
        divergence = tf.reduce_sum(divergence, inner_axes)
        self.update_metric("kl", tf.reduce_sum(divergence, axis=-1))
        samples = tf.cast(tf.shape(divergence)[0], divergence.dtype)
        if self.free_bits:
            total = sum_over_replicas(tf.reduce_sum(divergence, axis=0))
            features = tf.math.divide_no_nan(total, sum_over_replicas(samples))
            least = tf.where(samples > 0, tf.cast(self.free_bits, features.dtype), 0.0)
            loss = tf.reduce_sum(tf.maximum(features, least))
        else:
            loss = tf.math.divide_no_nan(tf.reduce_sum(divergence), samples)
        # Keras 3 sums the losses of a model without a cast, so all have its default dtype.
        loss = tf.cast(loss, keras.backend.floatx())
        weight = next_weight(self, self.kl_weight, training)
        self.add_loss(tf.math.multiply_no_nan(loss, weight))  # 0 before a warm-up, whatever it is

    def compute_mask(self, inputs, mask=None) -> tf.Tensor | None:
        return passed_on(joint_mask(mask), inputs[0])

    def compute_output_shape(self, input_shape) -> tuple[int | None, ...]:
        _check_shapes(input_shape)
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kl_weight": self.kl_weight,
            "free_bits": self.free_bits,
            "warmup_steps": self.warmup_steps,
            "seed": self.seed,
        }


def _check_shapes(shapes):
    mean, log_variance = pair_of_shapes(shapes, _EXPECTED)
    if not mean.is_compatible_with(log_variance):
        raise ValueError(
            f"`inputs` must be {_EXPECTED}. Received: tensors of shapes {tuple(mean)} and "
            f"{tuple(log_variance)}"
        )
    _validate.rank_at_least("inputs", mean, 2, "(batch, ..., features)")
