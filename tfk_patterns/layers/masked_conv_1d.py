"""Convolution over the steps of sequences of different lengths."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, _validate
from tfk_patterns.layers._keras_arguments import (
    as_activation,
    as_initializer,
    as_regularizer,
)
from tfk_patterns.layers._masking import as_checked_mask, check_mask, zero_masked
from tfk_patterns.layers._windows import (
    WindowMask,
    count_valid_in_windows,
    padding_of,
    window_sums,
)

_AXES = "(batch, steps, features)"


@_keras.register
class MaskedConv1D(keras.layers.Layer):
    """Convolution of which neither the content nor the length of padding reaches a valid step.

    Masked steps count as zeros. A step of the output is valid when its window holds a valid step,
    and `compute_mask` returns that mask; the other steps hold the bias, activated. So the mask
    grows past the end of a sequence, as far as windows reach and the batch has steps there: what
    pools over valid steps afterwards counts more of them in a batch that is padded than in one that
    is not. Where that matters, pad every batch by the layers' `span` (below) or more.

    `padding="same"` puts `span // 2` zeros before the first step and the rest of
    `span = (kernel_size - 1) * dilation_rate` after the last one, so that windows start at the
    same steps whatever the length. That is what `keras.layers.Conv1D` does with `strides=1`. With
    strides over 1 it differs: Conv1D pads as little as the length allows, so that its windows move
    when a batch is padded to another length; the outputs are those of Conv1D where
    `steps % strides` is 1 (or `strides` is 1), and else those of windows that start earlier, or at
    the same step.
    `"causal"` puts the whole span before, `"valid"` pads nothing. Padding at the start of a
    sequence moves the windows where it is no multiple of `strides`.

    With `renormalize=True` the sum of products, before the bias, is divided by the share of the
    window's positions that are valid, and positions outside the sequence are not.

    A batch of no samples gives one of none.

    Args:
        filters: Number of features of the output.
        kernel_size: Number of steps in a window.
        strides: Steps from window to window.
        padding: `"same"`, `"causal"` or `"valid"`.
        dilation_rate: Steps between neighbours in a window.
        activation: A Keras activation: a name, a function, or `None` for none. A model is loaded
            again only where its function is registered with Keras.
        use_bias: Whether a learned offset is added.
        renormalize: Whether to divide by the share of valid positions.
        kernel_initializer: A Keras initializer.
        bias_initializer: A Keras initializer.
        kernel_regularizer: A Keras regularizer, or `None`.
        bias_regularizer: A Keras regularizer, or `None`.
        **kwargs: Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: Tensor `(batch, steps, features)`.
        mask: Boolean tensor `(batch, steps)`, `True` where a step is valid.

    Input shape:
        `(batch, steps, features)`, `features` known.

    Output shape:
        `(batch, ceil(steps / strides), filters)`; with `"valid"` padding
        `(batch, ceil((steps - span) / strides), filters)`.

    Raises:
        TypeError: An argument has the wrong type, or the mask is not boolean.
        ValueError: An argument has a value that cannot be, the rank is not 3, `features` is
            unknown, a sequence is known to be shorter than a window of `"valid"` padding, or the
            mask does not fit.

    Example:

    >>> import tensorflow as tf
    >>> import tfk_patterns
    >>> layer = tfk_patterns.layers.MaskedConv1D(
    ...     filters=1, kernel_size=3, renormalize=True, kernel_initializer="ones"
    ... )
    >>> steps = tf.constant([[[1.0], [1.0], [1.0], [99.0], [99.0]]])
    >>> mask = tf.constant([[True, True, True, False, False]])
    >>> layer(steps, mask=mask).numpy().ravel().tolist()
    [3.0, 3.0, 3.0, 3.0, 0.0]
    >>> layer.compute_mask(steps, mask).numpy().ravel().tolist()
    [True, True, True, True, False]

    Reference:
        Liu et al., "Image Inpainting for Irregular Holes Using Partial Convolutions", 2018,
        https://arxiv.org/abs/1804.07723 (`renormalize`)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "same",
        dilation_rate: int = 1,
        activation: str | Callable | None = None,
        use_bias: bool = True,
        renormalize: bool = False,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = _validate.positive_integer("filters", filters)
        self.kernel_size = _validate.positive_integer("kernel_size", kernel_size)
        self.strides = _validate.positive_integer("strides", strides)
        self.padding = _validate.one_of("padding", padding, ("same", "causal", "valid"))
        self.dilation_rate = _validate.positive_integer("dilation_rate", dilation_rate)
        self.activation = as_activation("activation", activation)
        self.use_bias = _validate.boolean("use_bias", use_bias)
        self.renormalize = _validate.boolean("renormalize", renormalize)
        self.kernel_initializer = as_initializer("kernel_initializer", kernel_initializer)
        self.bias_initializer = as_initializer("bias_initializer", bias_initializer)
        self.kernel_regularizer = as_regularizer("kernel_regularizer", kernel_regularizer)
        self.bias_regularizer = as_regularizer("bias_regularizer", bias_regularizer)
        self.supports_masking = True

    def build(self, input_shape) -> None:
        _validate.rank("inputs", input_shape, 3, _AXES)
        features = _validate.known_axis("inputs", input_shape, -1, "the features")
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: features})
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, features, self.filters),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.filters,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
            )
        self.built = True

    def call(self, inputs, mask=None) -> tf.Tensor:
        mask = as_checked_mask(mask, inputs, rank=2)
        self._require_a_window(inputs.shape)
        windows = (self.strides, self.padding, self.dilation_rate)
        kernel = tf.convert_to_tensor(self.kernel)
        outputs = window_sums(zero_masked(inputs, mask), kernel, *windows)
        # Of nothing, TensorFlow's constant folding divides by zero where it meets the product.
        if self.renormalize and 0 not in inputs.shape[:2]:
            valid = tf.ones(tf.shape(inputs)[:2], tf.bool) if mask is None else mask
            counts = count_valid_in_windows(valid, self.kernel_size, *windows)
            outputs *= tf.cast(
                tf.math.divide_no_nan(float(self.kernel_size), counts), outputs.dtype
            )
        if self.bias is not None:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias))
        return self.activation(outputs)

    def compute_mask(self, inputs, mask=None):
        check_mask(mask, inputs.shape, rank=2)
        if mask is None:
            return None
        return WindowMask(self.kernel_size, self.strides, self.padding, self.dilation_rate)(mask)

    def compute_output_shape(self, input_shape) -> tuple[int | None, ...]:
        _validate.rank("inputs", input_shape, 3, _AXES)
        self._require_a_window(input_shape)
        batch, steps, _ = tuple(input_shape)
        if steps is not None:
            steps = -(-(steps - self._missing()) // self.strides)
        return (batch, steps, self.filters)

    def _missing(self) -> int:
        """How many windows less than steps there are, at strides of 1."""
        span = (self.kernel_size - 1) * self.dilation_rate
        return span - sum(padding_of(self.padding, self.kernel_size, self.dilation_rate))

    def _require_a_window(self, shape):
        steps, missing = shape[1], self._missing()
        if missing and steps is not None and steps <= missing:
            raise ValueError(
                f"`inputs` must have {missing + 1} steps or more, since a window of "
                '`padding="valid"` holds none outside the sequence; "same" and "causal" take any. '
                f"Received: inputs of shape {tuple(shape)}"
            )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "renormalize": self.renormalize,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
        }
