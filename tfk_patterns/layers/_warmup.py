"""Weights of losses that grow over the first training steps."""

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras


def add_step(layer) -> None:
    """Adds the weight that counts the training steps of a layer with a warm-up."""
    if layer.warmup_steps:
        layer.step = _keras.add_exact_weight(layer, name="step", dtype="int64")


def next_weight(layer, weight: float, training: bool | None):
    """The weight of the loss in this call; a training step is counted.

    In the k-th training step it is `weight * min(1, k / warmup_steps)`; in inference that of the
    last training step, so 0 before the first one.
    """
    if not layer.warmup_steps:
        return weight
    step = tf.convert_to_tensor(layer.step)
    if training:
        step += 1
        layer.step.assign(step)
    done = tf.cast(tf.minimum(step, layer.warmup_steps), keras.backend.floatx())
    return weight * done / layer.warmup_steps
