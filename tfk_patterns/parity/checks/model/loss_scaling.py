"""The loss scale of mixed precision."""

import numpy as np

from tfk_patterns import _keras
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.comparison import Difference
from tfk_patterns.parity.optimizer_step import optimizer_step
from tfk_patterns.parity.outcome import Failure, Skip

_SCALES = (2.0**10, 2.0**6)
_ROUNDING = 0.05  # of float16, relative to the largest gradient
_SCALE_HINT = (
    "Differentiate the scaled loss and apply gradients that are scaled once: on Keras 3 "
    "`optimizer.scale_loss(loss)`, and `optimizer.apply(...)` unscales; on Keras 2 "
    "`optimizer.get_scaled_loss(loss)` and then `optimizer.get_unscaled_gradients(gradients)`. "
    "`tfk_patterns.models.TrainStepModel` does both."
)


@define_check(
    follows=("fit",),
    link="https://www.tensorflow.org/guide/mixed_precision#loss_scaling",
    fast=True,
)
def loss_scaling(subject):
    """The loss is scaled once and the gradients are unscaled once: the scale changes no step.

    Bug: A `train_step` of one's own must scale the loss itself. Else Keras 3 divides gradients
    by a scale that they never had, and hardly a weight moves; on Keras 2 small ones are 0 in
    float16. There is no error (https://github.com/keras-team/keras/issues/19244).

    Broken::

        class Own(keras.Sequential):
            def train_step(self, data):
                x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
                with tf.GradientTape() as tape:
                    y_pred = self(x, training=True)
                    loss = self.compute_loss(x, y, y_pred, sample_weight)
                gradients = tape.gradient(loss, self.trainable_weights)
                self.optimizer.apply_gradients(zip(gradients, self.trainable_weights))
                replicas = tf.distribute.get_strategy().num_replicas_in_sync
                for metric in self.metrics:
                    if metric.name == "loss":
                        metric.update_state(loss * replicas, sample_weight=tf.shape(x)[0])
                return self.compute_metrics(x, y, y_pred, sample_weight)


        def make():
            hidden = keras.layers.Dense(8, "relu", dtype="mixed_float16")
            model = Own([keras.Input((4,)), hidden, keras.layers.Dense(1)])
            optimizer = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD())
            model.compile(optimizer, "mse")
            return model


        case = ModelCase(make, x, y)

    Mended::

        class Own(keras.Sequential):
            def train_step(self, data):
                x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
                is_keras_2 = hasattr(self.optimizer, "get_scaled_loss")
                scale = self.optimizer.get_scaled_loss if is_keras_2 else self.optimizer.scale_loss
                with tf.GradientTape() as tape:
                    y_pred = self(x, training=True)
                    loss = self.compute_loss(x, y, y_pred, sample_weight)
                    scaled = scale(loss)
                gradients = tape.gradient(scaled, self.trainable_weights)
                if is_keras_2:  # on Keras 3 the optimizer does so
                    gradients = self.optimizer.get_unscaled_gradients(gradients)
                self.optimizer.apply_gradients(zip(gradients, self.trainable_weights))
                replicas = tf.distribute.get_strategy().num_replicas_in_sync
                for metric in self.metrics:
                    if metric.name == "loss":
                        metric.update_state(loss * replicas, sample_weight=tf.shape(x)[0])
                return self.compute_metrics(x, y, y_pred, sample_weight)


        def make():
            hidden = keras.layers.Dense(8, "relu", dtype="mixed_float16")
            model = Own([keras.Input((4,)), hidden, keras.layers.Dense(1)])
            optimizer = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD())
            model.compile(optimizer, "mse")
            return model


        case = ModelCase(make, x, y)
    """
    scaled = [o for o in _keras.optimizers_of(subject.reference.model) if _keras.scales_loss(o)]
    if not scaled:
        raise Skip("no optimizer scales the loss: a model made under mixed_float16 has one")
    (one, other) = (_step_at(subject, scale) for scale in _SCALES)
    if one.targets and other.targets:
        ratio = one.targets[-1] / other.targets[-1] if other.targets[-1] else np.nan
        if np.isclose(ratio, 1.0, rtol=0.2):
            raise Failure(
                f"the loss that is differentiated is {one.targets[-1]:.7g} at a loss scale of "
                f"{_SCALES[0]:g} and {other.targets[-1]:.7g} at {_SCALES[1]:g}: it is not scaled",
                "one step, eager",
                _SCALE_HINT,
            )
    for (name, gradient), (_, smaller) in zip(one.updates, other.updates, strict=True):
        largest = np.max(np.abs(smaller), initial=1e-6)
        error = float(np.max(np.abs(gradient - smaller), initial=0.0))
        if error > _ROUNDING * largest:
            ratio = np.max(np.abs(gradient), initial=0.0) / largest
            raise Failure(
                f"the gradient of {name} reaches the optimizer {ratio:.3g} times as large when the "
                f"loss scale is {_SCALES[0] / _SCALES[1]:g} times as large",
                "one step, eager",
                _SCALE_HINT,
                max_abs_error=error,
            )
        subject.tally.add(Difference(None, error, error / largest))
    subject.skip_if_nothing("no optimizer was given gradients in the first step")


def _step_at(subject, scale):
    model = subject.model()
    for optimizer in _keras.optimizers_of(model):
        if _keras.scales_loss(optimizer):
            _keras.set_loss_scale(optimizer, scale)
    return optimizer_step(subject, model)[1]
