"""Losses that get lost, or are there twice."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class PenaltyInBuild(keras.layers.Layer):
    """Adds the penalty of its weight in `build`, where the first call clears it."""

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones")
        self.add_loss(0.1 * tf.reduce_sum(tf.square(tf.convert_to_tensor(self.scale))))
        self.built = True

    def call(self, inputs):
        return inputs * self.scale


class PenaltyOfTheFirstCall(keras.layers.Layer):
    """Adds its penalty once, so that it is not counted twice."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.penalised = False

    def call(self, inputs):
        if not self.penalised:
            self.add_loss(tf.reduce_mean(tf.square(inputs)))
            self.penalised = True
        return inputs


class Penalties:
    """Keeps layers away from Keras."""

    def __init__(self, *layers):
        self.layers = layers


class PenaltiesInAnObject(keras.layers.Layer):
    """Applies layers that add losses, and that Keras does not see."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.penalties = Penalties(keras.layers.ActivityRegularization(l2=0.1))

    def call(self, inputs):
        for layer in self.penalties.layers:
            inputs = layer(inputs)
        return inputs


class CountsInnerLossesAgain(keras.layers.Layer):
    """Adds the losses of the layer in it to its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.layers.ActivityRegularization(l1=0.1)

    def build(self, input_shape):
        self.inner.build(input_shape)
        self.built = True

    def call(self, inputs):
        outputs = self.inner(inputs)
        for loss in self.inner.losses:
            self.add_loss(loss)
        return outputs


class OnlyWithoutOtherLosses(keras.layers.Layer):
    """Takes care not to add its loss twice, even where it is called twice."""

    def call(self, inputs):
        if not self.losses:
            self.add_loss(tf.reduce_mean(tf.abs(inputs)))
        return inputs


class SumsTheLossesOfItsParts(keras.layers.Layer):
    """Adds the weight decay of the layer in it, which Keras adds as well."""

    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = keras.layers.Dense(units, kernel_regularizer="l2", activity_regularizer="l1")

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True

    def call(self, inputs):
        outputs = self.dense(inputs)
        self.add_loss(sum(tf.cast(loss, tf.float32) for loss in self.dense.losses))
        return outputs

    def compute_output_shape(self, input_shape):
        return self.dense.compute_output_shape(input_shape)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


BROKEN = [
    broken("loss_lifetime", PenaltyInBuild, "is not in `layer.losses`", generations=(3,)),
    broken("loss_lifetime", PenaltyInBuild, "is 0 where the first leaves 1", generations=(2,)),
    broken("loss_lifetime", PenaltyOfTheFirstCall, "the number of losses is 0 where the first"),
    broken("loss_lifetime", PenaltiesInAnObject, "is not in `layer.losses`"),
    broken("loss_lifetime", CountsInnerLossesAgain, "more than once"),
    broken("loss_lifetime", SumsTheLossesOfItsParts, "the sum of the losses of layers in it"),
    broken("loss_lifetime", OnlyWithoutOtherLosses, "the number of losses is 1 instead of 2"),
]
