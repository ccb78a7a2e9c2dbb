"""Layers that mistake inference for training, or forget what is said of it."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class TrainsByDefault(keras.layers.Layer):
    """Scales in training, which it takes for the default."""

    def call(self, inputs, training=True):
        return inputs * 0.9 if training else inputs


class TrainsUnlessToldNot(keras.layers.Layer):
    """Takes `None` for training."""

    def call(self, inputs, training=None):
        return inputs if training is False else inputs * 0.9


class NeedsToKnow(keras.layers.Layer):
    """Computes with `training` as with a number, which `None` is not."""

    def call(self, inputs, training=None):
        return inputs * (1.0 - 0.1 * int(training))


class RemembersTheMode(keras.layers.Layer):
    """Keeps the mode of the last call that named one."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.mode = {"training": False}

    def call(self, inputs, training=None):
        if training is not None:
            self.mode["training"] = training
        return inputs * 0.9 if self.mode["training"] else inputs


class Shrinks(keras.layers.Layer):
    """Right: scales in training."""

    def call(self, inputs, training=None):
        return inputs * 0.9 if training else inputs


class AlwaysShrinks(keras.layers.Layer):
    """Calls the layer in it as in training, whatever it is told."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.shrinks = Shrinks()

    def build(self, input_shape):
        self.shrinks.build(input_shape)
        self.built = True

    def call(self, inputs, training=None):
        return self.shrinks(inputs, training=True)


class MovesUnlessToldNot(keras.layers.Layer):
    """Takes `None` for training where it moves its mean, and nowhere else."""

    def build(self, input_shape):
        self.mean = self.add_weight(
            name="mean", shape=(input_shape[-1],), initializer="zeros", trainable=False
        )
        self.built = True

    def call(self, inputs, training=None):
        outputs = inputs - self.mean
        if self.trainable and training is not False:
            batch_mean = tf.reduce_mean(inputs, axis=(0, 1))
            mean = 0.9 * tf.convert_to_tensor(self.mean) + 0.1 * batch_mean
            self.mean.assign(tf.cast(mean, self.mean.dtype))
        return outputs


class IgnoresTheOuterLayer(keras.layers.Layer):
    """Reads the mode where it is given by keyword, and not where Keras passes it on."""

    def __call__(self, inputs, *args, training=None, **kwargs):
        return super().__call__(inputs, *args, training=bool(training), **kwargs)

    def call(self, inputs, training=None):
        return inputs * 0.9 if training else inputs


BROKEN = [
    broken("training_argument", TrainsByDefault, "training=False gives"),
    broken("training_argument", TrainsUnlessToldNot, "training=False gives"),
    broken("training_argument", NeedsToKnow, "the layer cannot be called: TypeError"),
    broken("training_argument", RemembersTheMode, "training=False gives"),
    broken("training_argument", AlwaysShrinks, "with training=True, which changes the outputs"),
    broken("training_argument", MovesUnlessToldNot, "variables['moves_unless_told_not/mean']"),
    broken("training_argument", IgnoresTheOuterLayer, "training=True gives"),
]
