"""Outputs that depend on the mode."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class ClipsWhileDebugging(keras.layers.Layer):
    """Clips in eager mode, where it was debugged, and not in the graph."""

    def call(self, inputs):
        if tf.executing_eagerly():
            inputs = tf.clip_by_value(inputs, -1.0, 1.0)
        return inputs * 2.0


class UnrollsLessInGraph(keras.layers.Layer):
    """Refines its output in a loop that is shorter in a graph, to keep the graph small."""

    def call(self, inputs):
        steps = 2 if tf.inside_function() else 3
        outputs = inputs
        for _ in range(steps):
            outputs = 0.5 * (outputs + tf.tanh(inputs))
        return outputs


class NormalisesByValues(keras.layers.Layer):
    """Takes the sample's deviation where it can read values, the population's elsewhere."""

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones")
        self.built = True

    def call(self, inputs):
        steps = inputs.shape[1]
        variance = tf.math.reduce_variance(inputs, axis=1, keepdims=True)
        if hasattr(inputs, "numpy"):
            variance = variance * steps / (steps - 1)
        return inputs / tf.sqrt(variance + 0.1) * tf.convert_to_tensor(self.scale)


BROKEN = [
    broken("outputs", ClipsWhileDebugging, "outputs is"),
    broken("outputs", UnrollsLessInGraph, "outputs is"),
    broken("outputs", NormalisesByValues, "outputs is"),
]
