"""Tensors of a graph kept on the layer."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class KeepsItsLastOutput(keras.layers.Layer):
    """Keeps the activations, to look at them later."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.last = None

    def call(self, inputs):
        self.last = tf.nn.softmax(inputs)
        return self.last


class CollectsNorms(keras.layers.Layer):
    """Keeps every norm it has computed, in a list."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norms = []

    def call(self, inputs, training=None):
        if training:
            self.norms.append(tf.norm(inputs))
        return inputs


class _Record:
    """A plain object to write to."""

    def __init__(self):
        self.scores = None


class WritesToARecord(keras.layers.Layer):
    """Leaves its scores in an object that it holds."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.record = _Record()

    def call(self, inputs):
        self.record.scores = tf.reduce_mean(inputs, axis=-1)
        return inputs * 2.0


class BuildsAConstant(keras.layers.Layer):
    """Makes a tensor in `build`, which Keras 3 runs in the graph of the first call."""

    def build(self, input_shape):
        self.positions = tf.range(input_shape[1], dtype=tf.float32)[:, tf.newaxis]
        self.built = True

    def call(self, inputs):
        return inputs + tf.cast(self.positions, inputs.dtype)


class CachesInCall(keras.layers.Layer):
    """Makes its positions when it is first called, for ever, wherever that is."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.positions = None

    def call(self, inputs):
        if self.positions is None:
            self.positions = tf.range(inputs.shape[1], dtype=tf.float32)[:, tf.newaxis] / 10.0
        return inputs + tf.cast(self.positions, inputs.dtype)


BROKEN = [
    broken("leaked_tensors", KeepsItsLastOutput, "`self.last` holds a tensor of a graph"),
    broken("leaked_tensors", CollectsNorms, "`self.norms[0]` holds a tensor"),
    broken("leaked_tensors", WritesToARecord, "`self.record.scores` holds a tensor"),
    broken("leaked_tensors", BuildsAConstant, "`self.positions` holds", generations=(3,)),
    broken("leaked_tensors", CachesInCall, "after a first call that is traced"),
]
