"""Gradients that lose their way to the weights."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken_models import TwoLayers, broken
from tfk_patterns import _keras


class Scaled(TwoLayers):
    """Computes in float16; right with the loss scaled and the gradients unscaled once."""

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "mixed_float16", **kwargs})
        self.hidden = keras.layers.Dense(5, activation="tanh", dtype="mixed_float16")
        self.out = keras.layers.Dense(1, dtype="float32")

    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            loss, outputs = self.loss_and_outputs(x, y, sample_weight)
            scaled = self.scale(loss)
        self.move(self.unscale(tape.gradient(scaled, self.trainable_weights)))
        return self.logs(loss, x, y, outputs, sample_weight)

    def scale(self, loss):
        if _keras.GENERATION == 2:
            return self.optimizer.get_scaled_loss(loss)
        return self.optimizer.scale_loss(loss)

    def unscale(self, gradients):
        if _keras.GENERATION == 2:
            return self.optimizer.get_unscaled_gradients(gradients)
        return gradients


class ForgetsToScale(Scaled):
    def scale(self, loss):
        return loss


class UnscalesOnceMore(Scaled):
    """Divides by the scale, which the optimizer or `get_unscaled_gradients` has done or does."""

    def unscale(self, gradients):
        scale = self.scale(tf.constant(1.0))
        return [gradient / scale for gradient in super().unscale(gradients)]


def scaling_sgd():
    return keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.01))


class MovesByHand(TwoLayers):
    """Moves the last layer itself, at a rate of its own, and so past the clipping."""

    def move(self, gradients):
        self.optimizer.build(self.trainable_weights)
        *first, kernel, bias = gradients
        self.out.kernel.assign_sub(0.1 * kernel)
        self.out.bias.assign_sub(0.1 * bias)
        self.optimizer.apply_gradients(zip(first, self.hidden.trainable_weights, strict=True))


class BiasByHand(TwoLayers):
    """Leaves the hidden bias out of the gradients, and moves it by itself."""

    def move(self, gradients):
        self.optimizer.build(self.trainable_weights)
        pairs = zip(gradients, self.trainable_weights, strict=True)
        rest = [(g, w) for g, w in pairs if w is not self.hidden.bias]
        self.optimizer.apply_gradients(rest)
        self.hidden.bias.assign_sub(0.1 * tf.range(1.0, 6.0))


class CallsTheUpdate(TwoLayers):
    """Calls `update_step` itself, which does not clip."""

    def move(self, gradients):
        self.optimizer.build(self.trainable_weights)
        for gradient, weight in zip(gradients, self.trainable_weights, strict=True):
            if _keras.GENERATION == 2:
                self.optimizer.update_step(gradient, weight)
            else:
                self.optimizer.update_step(gradient, weight, self.optimizer.learning_rate)
        self.optimizer.iterations.assign_add(1)


def _clipping_sgd():
    return keras.optimizers.SGD(0.01, clipnorm=0.5)


BROKEN = [
    broken("loss_scaling", ForgetsToScale, "it is not scaled", optimizer=scaling_sgd),
    broken("loss_scaling", UnscalesOnceMore, "reaches the optimizer", optimizer=scaling_sgd),
    broken(
        "gradient_clipping", MovesByHand, "moved without the optimizer", optimizer=_clipping_sgd
    ),
    broken("gradient_clipping", BiasByHand, "moved without the optimizer", optimizer=_clipping_sgd),
    broken("gradient_clipping", CallsTheUpdate, "where `clipnorm` is", optimizer=_clipping_sgd),
]
