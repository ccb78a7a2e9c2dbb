"""Knowledge distillation."""

from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, _validate
from tfk_patterns.models._fitting_teacher import (
    check_inputs,
    check_loss,
    check_outputs,
    check_teacher,
)
from tfk_patterns.models._soft_targets import mean_divergence
from tfk_patterns.models.train_step_model import TrainStepModel


class _Held:
    """Keeps Keras from taking a model for a layer of another one.

    What saves files looks at all attributes of a model, and so finds the property `teacher`.
    """

    def __init__(self, model):
        self.model = model


@_keras.register
class DistillationModel(TrainStepModel):
    """Trains a model, the student, on the targets and on the outputs of a trained teacher.

    The loss is `alpha * loss + (1 - alpha) * temperature**2 * KL(teacher || student)`, with the
    compiled loss on the targets, and the Kullback-Leibler divergence of the classes' probabilities
    at the temperature: softmax of the logits divided by it. Its mean is over all positions that are
    not masked, with sample weights where given. What layers add by `add_loss` and regularisers is
    added as it is. `evaluate` and `predict` do without the teacher: `val_loss` is the loss on the
    targets, which must then be compiled. A sample of weight 0 counts in neither part.

    The teacher is called in inference mode, gets no gradient, and is no layer of the model: its
    weights are not in `weights`, nor in `summary`. A `.keras` or `.weights.h5` file holds it once;
    `export`, an old `.h5` file and `keras.models.clone_model` do not bring it along.

    Args:
        *args: Of `keras.Model` or `keras.Sequential`, as in `TrainStepModel`.
        teacher: A built model that takes the same inputs, with outputs of the same structure and
            shapes as the student's: `(batch, ..., classes)`, of two classes or more.
        temperature: What logits are divided by, more than 0; the higher, the more the
            probabilities of wrong classes count.
        alpha: The weight of the loss on the targets, in [0, 1]. With 0, `compile` needs no loss.
        from_logits: Whether teacher and student return logits. With `False` they return
            probabilities, whose logarithms serve as logits.
        **kwargs: As in `TrainStepModel`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: `temperature` or `alpha` has a value that cannot be, the teacher is not built or
            does not fit, or `from_logits` contradicts its softmax; in `fit`, before the first step,
            `from_logits` contradicts the compiled loss, or that is missing.

    Example:

    >>> import numpy as np
    >>> from tensorflow import keras
    >>> import tfk_patterns
    >>> teacher = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    >>> layers = [keras.Input((2,)), keras.layers.Dense(3)]
    >>> student = tfk_patterns.models.DistillationModel(layers, teacher=teacher, alpha=0.0)
    >>> student.compile(keras.optimizers.SGD(1.0))
    >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    >>> history = student.fit(x, epochs=50, verbose=0).history
    >>> history["loss"][-1] < 0.01 * history["loss"][0]  # it comes to agree with its teacher
    True

    Reference:
        Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015,
        https://arxiv.org/abs/1503.02531
    """

    def __init__(
        self,
        *args: Any,
        teacher: keras.Model,
        temperature: float = 2.0,
        alpha: float = 0.5,
        from_logits: bool = True,
        **kwargs: Any,
    ):
        temperature = _validate.positive("temperature", temperature)
        alpha = _validate.closed_fraction("alpha", alpha)
        from_logits = _validate.boolean("from_logits", from_logits)
        check_teacher(teacher, from_logits)
        super().__init__(*args, **kwargs)
        self._held = _Held(teacher)
        self.temperature = temperature
        self.alpha = alpha
        self.from_logits = from_logits
        check_inputs(teacher, self)
        if getattr(self, "outputs", None) and getattr(teacher, "outputs", None):
            check_outputs(teacher.outputs, self.outputs)

    @property
    def teacher(self) -> keras.Model:
        """The teacher."""
        return self._held.model

    def _check_compiled(self) -> None:
        losses = [loss for loss in _keras.compiled_losses(self) if loss is not None]
        if self.alpha and not losses:
            raise ValueError(
                "`loss` must be given to `compile`, for the targets, unless `alpha` is 0. "
                f"Received: loss=None, alpha={self.alpha}"
            )
        for loss in losses:
            check_loss(loss, self.from_logits)

    def compute_gradients(self, x, y, sample_weight):
        wanted = self.teacher(x, training=False)
        return self.differentiate(lambda: self._both_losses(wanted, x, y, sample_weight))

    def _both_losses(self, wanted, x, y, sample_weight):
        if self.alpha:
            loss, predictions = self.forward_pass(x, y, sample_weight)
        else:
            loss, predictions = 0.0, self(x, training=True)
        check_outputs(wanted, predictions)
        divergence = mean_divergence(
            wanted, predictions, sample_weight, self.temperature, self.from_logits
        )
        dtype = divergence.dtype  # Keras 2 has losses in half precision
        added = sum(tf.cast(tf.reduce_sum(one), dtype) for one in self.losses)
        # `loss` holds all that layers add: the other share of it goes with the divergence.
        rest = self.temperature**2 * divergence + added
        return self.alpha * tf.cast(loss, dtype) + (1 - self.alpha) * rest, predictions
