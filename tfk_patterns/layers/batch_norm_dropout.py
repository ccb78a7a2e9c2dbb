"""Batch normalisation, activation and dropout as one block."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, _validate
from tfk_patterns.layers._keras_arguments import as_activation
from tfk_patterns.layers._masking import as_checked_mask, passed_on
from tfk_patterns.layers._random import add_random_state, drop
from tfk_patterns.layers._statistics import at_least_float32, moments


@_keras.register
class BatchNormDropout(keras.layers.Layer):
    """Batch normalisation, then an activation, then dropout, that differ in training and inference.

    In training the input is normalised with the mean and variance of the batch, which the moving
    ones follow, and dropout is on. In inference the moving ones are used, dropout is off, and no
    variable is written; with `monte_carlo=True` dropout is on there too, and its random state goes
    on, while the normalisation stays as it is. `trainable=False` freezes the normalisation as it
    freezes `keras.layers.BatchNormalization`: it uses the moving statistics and leaves them alone,
    also in training; dropout stays on there.

    Masked steps do not count in the statistics; a batch without a valid step leaves them as they
    are. Masks are passed on. Statistics are computed in float32 at least. Each call that drops
    draws a new mask from the layer's own state, which is saved with its weights (a layer with a
    rate of 0 has none); eager and compiled calls draw the same one.

    Args:
        activation: A Keras activation: a name, a function, or `None` for none. A model is loaded
            again only where its function is registered with Keras.
        rate: Fraction of the activations to drop, in [0, 1).
        momentum: Of the moving mean and variance, in [0, 1].
        epsilon: Added to the variance, more than 0.
        center: Whether a learned offset is added (`beta`).
        scale: Whether a learned factor is applied (`gamma`).
        synchronized: Whether the statistics of a batch are taken over all replicas.
        monte_carlo: Whether dropout stays on in inference (the normalisation does not), so that
            several predictions show how sure the model is. Fixed for the life of the layer, since
            a compiled model would not notice a change.
        seed: Integer that makes the dropout masks reproducible, or `None`. Layers with the same
            seed draw the same masks.
        **kwargs: Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: Tensor `(batch, ..., features)`.
        mask: Boolean tensor on the leading axes of `inputs`, `True` where a step is valid.
        training: Whether to run as in training.

    Input shape:
        `(batch, ..., features)`, any rank of 2 or more, `features` known.

    Output shape:
        That of the input.

    Raises:
        TypeError: An argument has the wrong type, or the mask is not boolean.
        ValueError: An argument has a value that cannot be, the rank is less than 2, `features` is
            unknown, or the mask does not fit.

    Example:

    >>> import tensorflow as tf
    >>> import tfk_patterns
    >>> layer = tfk_patterns.layers.BatchNormDropout("relu", rate=0.5, seed=1)
    >>> inputs = tf.constant([[-1.0, 1.0], [1.0, 3.0]])
    >>> outputs = layer(inputs, training=True)
    >>> layer.moving_mean.numpy()  # 0.99 * 0 + 0.01 * mean
    array([0.  , 0.02], dtype=float32)

    Reference:
        Ioffe and Szegedy, "Batch Normalization", 2015, https://arxiv.org/abs/1502.03167;
        Gal and Ghahramani, "Dropout as a Bayesian Approximation", 2016,
        https://arxiv.org/abs/1506.02142 (`monte_carlo`)
    """

    def __init__(
        self,
        activation: str | Callable | None = "relu",
        rate: float = 0.5,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        synchronized: bool = False,
        monte_carlo: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.activation = as_activation("activation", activation)
        self.rate = _validate.fraction("rate", rate)
        self.momentum = _validate.closed_fraction("momentum", momentum)
        self.epsilon = _validate.positive("epsilon", epsilon)
        self.center = _validate.boolean("center", center)
        self.scale = _validate.boolean("scale", scale)
        self.synchronized = _validate.boolean("synchronized", synchronized)
        self._monte_carlo = _validate.boolean("monte_carlo", monte_carlo)
        self.seed = None if seed is None else _validate.seed("seed", seed)
        self.supports_masking = True

    @property
    def monte_carlo(self) -> bool:
        """Whether dropout stays on in inference."""
        return self._monte_carlo

    def build(self, input_shape) -> None:
        _validate.rank_at_least("inputs", input_shape, 2, "(batch, ..., features)")
        features = _validate.known_axis("inputs", input_shape, -1, "the features to normalise")
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: features})
        add_weight = functools.partial(
            _keras.add_exact_weight,
            self,
            shape=(features,),
            dtype="float64" if self.variable_dtype == "float64" else "float32",
        )
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = add_weight(name="gamma", initializer="ones", trainable=True)
        if self.center:
            self.beta = add_weight(name="beta", trainable=True)
        self.moving_mean = add_weight(name="moving_mean", aggregation="mean")
        self.moving_variance = add_weight(
            name="moving_variance", initializer="ones", aggregation="mean"
        )
        self.random_state = add_random_state(self, self.seed) if self.rate else None
        self.built = True

    def call(self, inputs, mask=None, training: bool | None = None) -> tf.Tensor:
        outputs = self._normalize(inputs, as_checked_mask(mask, inputs), training)
        outputs = self.activation(tf.cast(outputs, self.compute_dtype))
        if self.rate and (training or self.monte_carlo):
            outputs = drop(outputs, self.rate, self.random_state)
        return outputs

    def _normalize(self, inputs, mask, training):
        inputs = at_least_float32(inputs)
        # Keras sets `trainable` of a layer, not what a caller passes as `training`.
        if training and self.trainable:
            mean, variance, count = moments(inputs, mask, self.synchronized)
            self._move(self.moving_mean, mean, count)
            self._move(self.moving_variance, variance, count)
        else:
            mean = tf.convert_to_tensor(self.moving_mean)
            variance = tf.convert_to_tensor(self.moving_variance)
        mean, variance = tf.cast(mean, inputs.dtype), tf.cast(variance, inputs.dtype)
        beta = None if self.beta is None else tf.cast(self.beta, inputs.dtype)
        gamma = None if self.gamma is None else tf.cast(self.gamma, inputs.dtype)
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    def _move(self, moving, batch_value, count):
        old = tf.convert_to_tensor(moving)
        new = self.momentum * old + (1 - self.momentum) * tf.cast(batch_value, old.dtype)
        moving.assign(tf.where(count > 0, new, old))

    def compute_mask(self, inputs, mask=None) -> tf.Tensor | None:
        return passed_on(mask, inputs)

    def compute_output_shape(self, input_shape) -> tuple[int | None, ...]:
        _validate.rank_at_least("inputs", input_shape, 2, "(batch, ..., features)")
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "activation": keras.activations.serialize(self.activation),
            "rate": self.rate,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "synchronized": self.synchronized,
            "monte_carlo": self.monte_carlo,
            "seed": self.seed,
        }
