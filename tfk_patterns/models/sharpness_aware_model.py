"""Sharpness-aware minimisation."""

from typing import Any

import tensorflow as tf

from tfk_patterns import _keras, _validate
from tfk_patterns._kept_values import assign, values_of
from tfk_patterns.models.train_step_model import TrainStepModel


@_keras.register
class SharpnessAwareModel(TrainStepModel):
    """Trains towards flat minima, by the gradient at the worst weights near by (SAM).

    Each step takes two: the gradient `g`, by which the weights `w` are moved up the loss to
    `w + rho * g / ||g||`; and the gradient there, which the optimizer uses on `w`. The norm is over
    all weights, and over all replicas. With `adaptive=True` each weight is moved in proportion to
    its own size (ASAM): `w + rho * w**2 * g / ||w * g||`, which does not depend on the scale of the
    weights; a weight of 0 stays. A step costs about two of plain training.

    The logged loss, the metrics and the predictions are those of the first pass. Random layers draw
    the same in both passes, and statistics (as of batch normalisation) move once a step, where
    their state is in variables: the `Dropout` of Keras 2 keeps its own in TensorFlow, and draws
    anew. Where all gradients are 0 the weights stay.

    Batch normalisation and the like take the statistics of their own replica, unless they are told
    to synchronise them.

    Args:
        *args: Of `keras.Model` or `keras.Sequential`, as in `TrainStepModel`.
        rho: How far the weights are moved, by the Euclidean norm (relative to the weights with
            `adaptive`); more than 0. The paper uses 0.05 to 0.2, and 0.5 to 2 with `adaptive`.
        adaptive: Whether to move each weight in proportion to its size.
        **kwargs: As in `TrainStepModel`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: `rho` is not more than 0.

    Example:

    >>> import tensorflow as tf
    >>> from tensorflow import keras
    >>> import tfk_patterns
    >>> inputs = keras.Input((1,))
    >>> outputs = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")(inputs)
    >>> model = tfk_patterns.models.SharpnessAwareModel(inputs, outputs, rho=0.5)
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> model.train_on_batch(tf.constant([[1.0]]), tf.constant([[0.0]]))  # the gradient at 1.5
    1.0
    >>> round(float(model.get_weights()[0][0, 0]), 4)
    0.7

    Reference:
        Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization", 2021,
        https://arxiv.org/abs/2010.01412; Kwon et al., "ASAM: Adaptive Sharpness-Aware Minimization
        for Scale-Invariant Learning of Deep Neural Networks", 2021,
        https://arxiv.org/abs/2102.11600
    """

    def __init__(self, *args: Any, rho: float = 0.05, adaptive: bool = False, **kwargs: Any):
        rho = _validate.positive("rho", rho)
        adaptive = _validate.boolean("adaptive", adaptive)
        super().__init__(*args, **kwargs)
        self.rho = rho
        self.adaptive = adaptive

    def compute_gradients(self, x, y, sample_weight):
        weights, others = _keras.split_variables(self)
        before = values_of(others)
        gradients, loss, predictions = super().compute_gradients(x, y, sample_weight)
        gradients = self.mean_over_replicas(gradients, x)
        with self.dry_run():
            assign(others, before)
            for weight, move in zip(weights, self._moves(weights, gradients), strict=True):
                if move is not None:
                    weight.assign_add(move)
            worst_gradients, _, _ = super().compute_gradients(x, y, sample_weight)
        return worst_gradients, loss, predictions

    def _moves(self, weights, gradients) -> list:
        """How far each weight is moved up the loss; `None` where it has no gradient."""
        scales = [tf.abs(_exact(weight)) if self.adaptive else 1.0 for weight in weights]
        scaled = [
            None if gradient is None else _exact(gradient) * scale
            for gradient, scale in zip(gradients, scales, strict=True)
        ]
        there = [one for one in scaled if one is not None]
        if not there:
            return scaled  # of which the optimizer complains
        factor = tf.math.divide_no_nan(self.rho, tf.linalg.global_norm(there))
        return [
            None if one is None else tf.cast(factor * one * scale, weight.dtype)
            for one, scale, weight in zip(scaled, scales, weights, strict=True)
        ]


def _exact(tensor) -> tf.Tensor:
    """A gradient or weight, dense, in float32 at least."""
    tensor = tf.convert_to_tensor(tensor)
    return tf.cast(tensor, tf.float32) if tensor.dtype.size < 4 else tensor
