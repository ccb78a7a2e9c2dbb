"""Training on two replicas that is not training on one device."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken
from tfk_patterns import _keras


class DividesByGlobalBatch(keras.layers.Layer):
    """Divides its loss by the size of the global batch, though Keras averages over replicas."""

    def call(self, inputs):
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        samples = tf.cast(tf.shape(inputs)[0] * replicas, inputs.dtype)
        penalties = tf.reduce_mean(tf.square(inputs), axis=[1, 2])
        self.add_loss(tf.reduce_sum(penalties) / samples)
        return tf.identity(inputs)


class ScalesGradient(keras.layers.Layer):
    """Makes up for a sum over the replicas that Keras has made up for already."""

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones")
        self.built = True

    def call(self, inputs):
        scale = tf.convert_to_tensor(self.scale)
        share = 1.0 / tf.distribute.get_strategy().num_replicas_in_sync
        return inputs * (share * scale + tf.stop_gradient((1.0 - share) * scale))


class AddsUpMeans(keras.layers.Layer):
    """Keeps a running mean, and adds up those of the replicas."""

    aggregation = tf.VariableAggregation.SUM if _keras.GENERATION == 2 else "sum"

    def build(self, input_shape):
        self.mean = self.add_weight(
            name="mean",
            shape=(input_shape[-1],),
            initializer="zeros",
            trainable=False,
            aggregation=self.aggregation,
        )
        self.built = True

    def call(self, inputs, training=None):
        mean = tf.convert_to_tensor(self.mean)
        if training and self.trainable:
            new = 0.9 * mean + 0.1 * tf.reduce_mean(inputs, axis=[0, 1])
            self.mean.assign(tf.cast(new, self.variable_dtype))
        return inputs - mean


class SamplesOfFirstReplica(keras.layers.Layer):
    """Counts the samples of the first replica."""

    def build(self, input_shape):
        self.samples = self.add_weight(
            name="samples", shape=(), initializer="zeros", trainable=False
        )
        self.built = True

    def call(self, inputs, training=None):
        if training and self.trainable:
            self.samples.assign_add(tf.cast(tf.shape(inputs)[0], self.samples.dtype))
        return tf.identity(inputs)


class RaisesWhereReplicasWrite(keras.layers.Layer):
    """Adds a number, which is no tensor of a replica, to a sum over the replicas."""

    aggregation = tf.VariableAggregation.SUM

    def build(self, input_shape):
        self.calls = self.add_weight(
            name="calls",
            shape=(),
            initializer="zeros",
            trainable=False,
            aggregation=self.aggregation,
        )
        self.built = True

    def call(self, inputs, training=None):
        if training and self.trainable:
            self.calls.assign_add(1.0)
        return tf.identity(inputs)


class AddsUpReplicas(RaisesWhereReplicasWrite):
    """Adds up over the replicas how often it was called."""

    aggregation = "sum"


class AddsUpLoads(keras.layers.Layer):
    """Adds up a moving mean over the replicas, on which its outputs depend."""

    def build(self, input_shape):
        self.load = self.add_weight(
            name="load",
            shape=(3,),
            initializer="zeros",
            trainable=False,
            aggregation=AddsUpMeans.aggregation,
        )
        self.built = True

    def call(self, inputs, training=None):
        load = tf.cast(tf.convert_to_tensor(self.load), inputs.dtype)
        if training and self.trainable:
            mean = tf.math.divide_no_nan(
                tf.reduce_sum(inputs, axis=[0, 1]), tf.cast(tf.size(inputs[..., 0]), inputs.dtype)
            )
            load = 0.9 * load + 0.1 * tf.stop_gradient(mean)
            self.load.assign(tf.cast(load, self.load.dtype))
        return inputs - load


_CHECK = "replicas"

BROKEN = [
    broken(_CHECK, DividesByGlobalBatch, "logs['loss'] is"),
    broken(_CHECK, ScalesGradient, "weights['scales_gradient/scale'] is"),
    broken(_CHECK, AddsUpLoads, "load'] is"),
    broken(_CHECK, AddsUpMeans, "variables['adds_up_means/mean'] is"),
    broken(_CHECK, SamplesOfFirstReplica, "is 2 where one device gives 4"),
    broken(
        _CHECK,
        RaisesWhereReplicasWrite,
        "a training step under tf.distribute.MirroredStrategy raises: ValueError",
        generations=(2,),
    ),
    broken(_CHECK, AddsUpReplicas, "calls'] is 2 where one device gives 1", generations=(3,)),
]
