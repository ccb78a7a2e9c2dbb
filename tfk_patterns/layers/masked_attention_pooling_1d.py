"""Pooling by learned attention over the valid steps of a sequence."""

from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, _validate
from tfk_patterns.layers._masking import as_checked_mask, check_mask, zero_masked
from tfk_patterns.layers._statistics import at_least_float32

_AXES = "(batch, steps, features)"


@_keras.register
class MaskedAttentionPooling1D(keras.layers.Layer):
    """The mean of the valid steps, weighted by learned attention.

    A step scores `tanh(step @ kernel + bias) @ query`; the softmax of the scores over the valid
    steps gives the weights. It is taken in float32 at least; a sample with no valid step gives
    zeros, and zero weights, in every precision. The mask is consumed: the output has none.

    To see the weights of a trained functional model, call the layer with
    `return_attention_scores=True` where the model is built, and make two models, one of which ends
    with the weights.

    Args:
        units: Size of the hidden representation that steps are scored by.
        **kwargs: Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: Tensor `(batch, steps, features)`.
        mask: Boolean tensor `(batch, steps)`, `True` where a step is valid.
        return_attention_scores: Whether to return the weights too.

    Input shape:
        `(batch, steps, features)`, `features` known.

    Output shape:
        `(batch, features)`; with `return_attention_scores=True` that and `(batch, steps)`.

    Raises:
        TypeError: An argument has the wrong type, or the mask is not boolean.
        ValueError: `units` is less than 1, the rank is not 3, `features` is unknown, or the mask
            does not fit.

    Example:

    >>> import tensorflow as tf
    >>> import tfk_patterns
    >>> layer = tfk_patterns.layers.MaskedAttentionPooling1D(units=8)
    >>> steps = tf.constant([[[1.0], [1.0], [99.0]]])
    >>> mask = tf.constant([[True, True, False]])
    >>> outputs, scores = layer(steps, mask=mask, return_attention_scores=True)
    >>> scores.numpy().tolist()
    [[0.5, 0.5, 0.0]]

    Reference:
        Yang et al., "Hierarchical Attention Networks for Document Classification", 2016,
        https://aclanthology.org/N16-1174
    """

    def __init__(self, units: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = _validate.positive_integer("units", units)
        self.supports_masking = True

    def build(self, input_shape) -> None:
        _validate.rank("inputs", input_shape, 3, _AXES)
        features = _validate.known_axis("inputs", input_shape, -1, "the features")
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: features})
        self.kernel = self.add_weight(
            name="kernel", shape=(features, self.units), initializer="glorot_uniform"
        )
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
        self.query = self.add_weight(
            name="query", shape=(self.units,), initializer="glorot_uniform"
        )
        self.built = True

    def call(self, inputs, mask=None, return_attention_scores: bool = False):
        mask = as_checked_mask(mask, inputs, rank=2)
        inputs = zero_masked(inputs, mask)
        hidden = tf.tanh(tf.matmul(inputs, tf.convert_to_tensor(self.kernel)) + self.bias)
        scores = tf.reduce_sum(at_least_float32(hidden * self.query), axis=-1)
        weights = _masked_softmax(scores, mask)
        outputs = tf.einsum("bs,bsf->bf", weights, tf.cast(inputs, weights.dtype))
        outputs = tf.cast(outputs, self.compute_dtype)
        if return_attention_scores:
            return outputs, tf.cast(weights, self.compute_dtype)
        return outputs

    def compute_mask(self, inputs, mask=None) -> None:
        check_mask(mask, inputs.shape, rank=2)
        return None

    def compute_output_shape(self, input_shape) -> tuple[int | None, ...]:
        _validate.rank("inputs", input_shape, 3, _AXES)
        batch, _, features = tuple(input_shape)
        return (batch, features)

    def compute_output_spec(self, *args, **kwargs):
        # Keras 3 would take the shape above, which knows nothing of the scores.
        return _keras.traced_output_spec(self, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def _masked_softmax(scores, mask):
    """Softmax over the valid steps; zeros where there is none."""
    if mask is None:
        return tf.nn.softmax(scores, axis=-1)
    scores = tf.where(mask, scores, scores.dtype.min)
    return zero_masked(tf.nn.softmax(scores, axis=-1), mask)
