"""Right layers that the checks of training and inference must not blame."""

import pytest
import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import INPUTS, MASK
from tfk_patterns.parity import LayerCase, check_layer
from tfk_patterns.parity.calls.sublayer_training import called_in_training_mode, trains_by_default

CHECKS = ["random_inference", "inference_state", "training_argument", "frozen_state"]


class Composite(keras.layers.Layer):
    """Makes layers with state and draws in `build`, and leaves `training` to Keras."""

    def build(self, input_shape):
        self.normalize = keras.layers.BatchNormalization()
        self.normalize.build(input_shape)
        self.dropout = keras.layers.Dropout(0.5)
        self.built = True

    def call(self, inputs):
        return self.dropout(self.normalize(inputs))


class FrozenInside(keras.layers.Layer):
    """Holds a layer that is frozen on purpose, and called as in inference."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.backbone = keras.layers.BatchNormalization(trainable=False)
        self.head = keras.layers.Dense(2)

    def build(self, input_shape):
        self.backbone.build(input_shape)
        self.head.build(input_shape)
        self.built = True

    def call(self, inputs, training=None):
        return self.head(self.backbone(inputs, training=False))


class MovesItsMean(keras.layers.Layer):
    """Moves its mean in training, unless it is frozen."""

    def build(self, input_shape):
        self.mean = self.add_weight(
            name="mean", shape=(input_shape[-1],), initializer="zeros", trainable=False
        )
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones")
        self.built = True

    def call(self, inputs, training=None):
        outputs = (inputs - self.mean) * self.scale
        if training and self.trainable:
            batch_mean = tf.reduce_mean(inputs, axis=(0, 1))
            self.mean.assign(0.9 * tf.convert_to_tensor(self.mean) + 0.1 * batch_mean)
        return outputs


class CountsTraining(keras.layers.Layer):
    """Counts its calls in training, frozen or not: a counter learns nothing."""

    def build(self, input_shape):
        self.steps = self.add_weight(
            name="steps", shape=(), dtype="int64", initializer="zeros", trainable=False
        )
        self.built = True

    def call(self, inputs, training=None):
        if training:
            self.steps.assign_add(1)
        return inputs


class TrainsAnInsensitiveLayer(keras.layers.Layer):
    """Says training=True to a layer that does not care."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.block = keras.Sequential([keras.layers.Dense(2)])

    def build(self, input_shape):
        self.block.build(input_shape)
        self.built = True

    def call(self, inputs):
        return self.block(inputs, training=True)


CASES = [
    LayerCase(Composite, INPUTS),
    LayerCase(FrozenInside, INPUTS),
    LayerCase(MovesItsMean, INPUTS),
    LayerCase(CountsTraining, INPUTS),
    LayerCase(TrainsAnInsensitiveLayer, INPUTS),
    LayerCase(lambda: keras.layers.LSTM(2, dropout=0.3), INPUTS, MASK, name="LSTM"),
    LayerCase(lambda: keras.layers.GRU(2, stateful=True), INPUTS, name="stateful"),
    LayerCase(lambda: keras.layers.RandomFlip(seed=1), INPUTS[:, :, :, None], name="RandomFlip"),
    LayerCase(
        lambda: keras.layers.MultiHeadAttention(2, 3, dropout=0.2),
        INPUTS,
        call_kwargs={"value": INPUTS[:, ::-1].copy()},
        name="MultiHeadAttention",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_not_blamed(case):
    report = check_layer(case, checks=CHECKS, on_fail="report")
    assert report.passed, str(report)


def test_augmentation_may_train_by_default():
    assert trains_by_default(keras.Sequential([keras.layers.RandomFlip()]))
    assert not trains_by_default(keras.Sequential([keras.layers.Dropout(0.5)]))


def test_which_layers_are_called_in_training_mode():
    layer = TrainsAnInsensitiveLayer()
    layer(INPUTS)
    with called_in_training_mode(layer) as names:
        layer(INPUTS, training=False)
    assert layer.block.name in names
    with called_in_training_mode(layer, instead=False) as names:
        layer(INPUTS, training=True)
    assert layer.block.name in names
    assert "call" not in vars(layer.block)
