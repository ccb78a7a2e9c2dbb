"""Variables that Keras does not know of, or that are made too late."""

import types

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class VariableOfTensorFlow(keras.layers.Layer):
    """Keras 3 does not track a `tf.Variable`: it is neither trained nor saved."""

    def build(self, input_shape):
        self.scale = tf.Variable(tf.ones((input_shape[-1],)), name="scale")
        self.built = True

    def call(self, inputs):
        return inputs * tf.cast(self.scale, inputs.dtype)


class _Heads:
    def __init__(self, units):
        self.mean = keras.layers.Dense(units, kernel_initializer="identity")
        self.scale = keras.layers.Dense(units, kernel_initializer="ones")

    def __call__(self, inputs):
        return self.mean(inputs) + self.scale(inputs)


class LayersInPlainObject(keras.layers.Layer):
    """Keeps its sublayers together in an object of its own."""

    def build(self, input_shape):
        self.heads = _Heads(input_shape[-1])
        self.heads.mean.build(input_shape)
        self.heads.scale.build(input_shape)
        self.built = True

    def call(self, inputs):
        return tf.cast(self.heads(inputs), self.compute_dtype)


class VariableInClosure(keras.layers.Layer):
    """Builds a function that closes over its trainable slope."""

    def build(self, input_shape):
        slope = tf.Variable(0.3, name="slope")

        def activation(inputs):
            return tf.where(inputs > 0, inputs, tf.cast(slope, inputs.dtype) * inputs)

        self.activation = activation
        self.built = True

    def call(self, inputs):
        return self.activation(inputs)


class CounterInNamespace(keras.layers.Layer):
    """Counts its training calls in a variable that no file holds."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.state = types.SimpleNamespace(count=tf.Variable(0.0, trainable=False))

    def call(self, inputs, training=None):
        if training and self.trainable:
            self.state.count.assign_add(1.0)
        return tf.identity(inputs)


class OffsetOfEachBatchSize(keras.layers.Layer):
    """Makes a weight when a batch of another size comes."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.offsets = {}

    def call(self, inputs):
        size = inputs.shape[0]
        if size is None:
            return tf.identity(inputs)
        if str(size) not in self.offsets:
            self.offsets[str(size)] = self.add_weight(
                name=f"offset_{size}", shape=(), initializer="zeros", trainable=False
            )
        return inputs + self.offsets[str(size)]


class ListsWeightTwice(keras.layers.Layer):
    """Lists a weight that Keras lists already."""

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones")
        self.built = True

    @property
    def weights(self):
        return [*super().weights, self.scale]

    def call(self, inputs):
        return inputs * self.scale


class GeneratorInNamespace(keras.layers.Layer):
    """Keeps its generator where no file of TensorFlow finds it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.noise = types.SimpleNamespace(generator=tf.random.Generator.from_seed(3))

    def call(self, inputs, training=None):
        if not training:
            return tf.identity(inputs)
        return inputs + 0.1 * tf.cast(
            self.noise.generator.normal(tf.shape(inputs)), self.compute_dtype
        )


_CHECK = "tracked_variables"

BROKEN = [
    broken(_CHECK, VariableOfTensorFlow, "layer.scale is a variable of shape", generations=(3,)),
    broken(_CHECK, LayersInPlainObject, "layer.heads.mean > "),
    broken(_CHECK, VariableInClosure, "slope (in the closure of"),
    broken(_CHECK, CounterInNamespace, "layer.state.count is a variable of shape"),
    broken(_CHECK, OffsetOfEachBatchSize, "a call on a batch twice as large", generations=(2,)),
    broken(_CHECK, GeneratorInNamespace, "layer.noise.generator is a tf.random.Generator that"),
    broken(_CHECK, ListsWeightTwice, "scale is 2 times in `layer.weights`"),
]
