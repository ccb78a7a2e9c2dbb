"""Layers that a SavedModel cannot hold."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


def _table():
    values = tf.lookup.KeyValueTensorInitializer(
        tf.constant([-1, 0, 1], tf.int64), tf.constant([0.5, 1.0, 2.0])
    )
    return tf.lookup.StaticHashTable(values, default_value=0.0)


class _Vocabulary:
    def __init__(self):
        self.table = _table()


class TableInPlainObject(keras.layers.Layer):
    """Keeps a table in an object of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary = _Vocabulary()

    def call(self, inputs):
        values = self.vocabulary.table.lookup(tf.cast(inputs, tf.int64))
        return tf.cast(values, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


class TableInClosure(keras.layers.Layer):
    """Keeps a function that closes over a table."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        table = _table()
        self.look_up = lambda keys: table.lookup(keys)

    def call(self, inputs):
        return tf.cast(self.look_up(tf.cast(inputs, tf.int64)), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


class TableOfClass(keras.layers.Layer):
    """Makes its table once for all instances."""

    table = _table()

    def call(self, inputs):
        return tf.cast(self.table.lookup(tf.cast(inputs, tf.int64)), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


_CHECK, _MESSAGE = "export", "the model cannot be exported"

BROKEN = [
    broken(_CHECK, TableInPlainObject, _MESSAGE),
    broken(_CHECK, TableInClosure, _MESSAGE),
    broken(_CHECK, TableOfClass, _MESSAGE),
]
