"""Gradients that depend on the mode."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class ProtectsInGraph(keras.layers.Layer):
    """Lets no gradient through in a graph, and forgets eager mode."""

    def call(self, inputs):
        return inputs if tf.executing_eagerly() else tf.stop_gradient(inputs)


@tf.custom_gradient
def _clipped(inputs):
    def gradient(upstream):
        if tf.executing_eagerly():
            return upstream
        return tf.clip_by_value(upstream, -0.1, 0.1)

    return tf.identity(inputs), gradient


class ClipsGradientsInGraph(keras.layers.Layer):
    """Clips the gradient that it passes on, in the graph alone."""

    def call(self, inputs):
        return _clipped(inputs) * 2.0


class DetachesItsScale(keras.layers.Layer):
    """Reads its weight by `value` and lets the gradient of it through by mode."""

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones")
        self.built = True

    def call(self, inputs):
        scale = tf.convert_to_tensor(self.scale)
        if not tf.executing_eagerly():
            scale = 0.5 * scale + 0.5 * tf.stop_gradient(scale)
        return inputs * scale


BROKEN = [
    broken("gradients", ProtectsInGraph, "input_gradients[0] is 0"),
    broken("gradients", ClipsGradientsInGraph, "input_gradients[0] is"),
    broken("gradients", DetachesItsScale, "weight_gradients["),
]
