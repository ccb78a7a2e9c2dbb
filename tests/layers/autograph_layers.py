"""Layers with Python control flow on tensors, as a user writes them."""

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import layers
from tfk_patterns.layers import autograph_call


@keras.utils.register_keras_serializable("tests")
@autograph_call
class Rescaled(keras.layers.Layer):
    """Divides a batch by its norm where that is over 1, and counts such batches."""

    def build(self, input_shape):
        self.count = self.add_weight(name="count", shape=(), initializer="zeros", trainable=False)
        self.built = True

    def call(self, inputs):
        norm = tf.norm(inputs)
        if norm > 1.0:
            inputs = inputs / norm
            self.count.assign_add(1.0)
        return inputs * (1.0 + self.count)


@autograph_call
class Collected(keras.layers.Layer):
    """Adds rows up, skipping some, to a limit; then all with weights; and the absolute sum."""

    def call(self, inputs):
        total = tf.zeros_like(inputs[0])
        for row in inputs:
            if tf.reduce_sum(row) < 0.0:
                continue
            if tf.reduce_sum(total) > 2.0:
                break
            total += row
        for step in range(tf.shape(inputs)[0]):
            total += inputs[step] * weight_of(step)
        return inputs + self.positive(total)

    def positive(self, total):
        if tf.reduce_sum(total) > 0.0:
            return total
        return -total


def weight_of(step):
    if step % 2 == 0:
        return 0.5
    return -0.25


@keras.utils.register_keras_serializable("tests")
@autograph_call
class Halved(keras.layers.Layer):
    """Halves each sample until its largest element is below 1."""

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=input_shape[-1:], initializer="ones")
        self.built = True

    def call(self, inputs):
        inputs = inputs * self.scale
        large = is_large(inputs)
        while tf.reduce_any(large):
            tf.autograph.experimental.set_loop_options(maximum_iterations=20)
            inputs = tf.where(large, inputs / 2, inputs)
            large = is_large(inputs)
        return inputs


def is_large(inputs):
    return tf.reduce_max(tf.abs(inputs), axis=-1, keepdims=True) >= 1


@keras.utils.register_keras_serializable("tests")
class Leaky(keras.layers.Layer):
    """A leaky sum of the valid steps."""

    def build(self, input_shape):
        half = keras.initializers.Constant(0.5)
        self.decay = self.add_weight(name="decay", shape=input_shape[-1:], initializer=half)
        self.built = True

    @autograph_call
    def call(self, inputs, mask=None):
        state = tf.zeros_like(inputs[:, 0])
        for step in range(tf.shape(inputs)[1]):
            moved = self.decay * state + inputs[:, step]
            if mask is None:  # noqa: SIM108 what users write
                state = moved
            else:
                state = tf.where(mask[:, step, tf.newaxis], moved, state)
        return state

    def compute_mask(self, inputs, mask=None):
        return None


@keras.utils.register_keras_serializable("tests")
@autograph_call
class WarmedUp(layers.MetricTracking, keras.layers.Layer):
    """A penalty whose weight grows in the first steps of training; a metric tells of these."""

    def __init__(self, steps=3, **kwargs):
        super().__init__(**kwargs)
        self.steps = steps
        self.declare_metric("warming", "sum")

    def build(self, input_shape):
        self.count = self.add_weight(name="count", shape=(), initializer="zeros", trainable=False)
        self.built = True

    def call(self, inputs, training=None):
        if training and self.count < self.steps:
            self.count.assign_add(1.0)
            self.update_metric("warming", tf.ones_like(inputs[:, 0]))
        weight = tf.cast(self.count / self.steps, inputs.dtype)
        self.add_loss(0.1 * weight * tf.reduce_mean(tf.square(inputs)))
        return inputs

    def get_config(self):
        return {**super().get_config(), "steps": self.steps}


@keras.utils.register_keras_serializable("tests")
@autograph_call
class Blocks(keras.layers.Layer):
    """The same block of normalisation and dropout twice, in a loop of the graph."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.block = layers.BatchNormDropout("relu", rate=0.5, seed=1)

    def build(self, input_shape):
        self.block.build(input_shape)
        self.built = True

    def call(self, inputs, training=None, mask=None):
        for _ in tf.range(2):
            inputs = self.block(inputs, training=training, mask=mask)
        return inputs


@keras.utils.register_keras_serializable("tests")
class Net(keras.Model):
    """A model that has control flow itself."""

    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = keras.layers.Dense(units)
        self.parts = [Rescaled(), Blocks(), WarmedUp(name="warm")]
        self.final = keras.layers.Dense(1)

    def build(self, input_shape):
        self.hidden.build(input_shape)
        shape = (*input_shape[:-1], self.units)
        for part in (*self.parts, self.final):
            part.build(shape)
        self.built = True

    @autograph_call
    def call(self, inputs, training=None):
        x = self.hidden(inputs)
        if tf.reduce_mean(x) > 0.0:
            x = -x
        for part in self.parts:
            x = part(x, training=training)
        return self.final(x)

    def get_config(self):
        return {**super().get_config(), "units": self.units}
