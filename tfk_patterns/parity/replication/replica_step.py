"""One training step on a model that holds the layer of a case, on one device or on replicas."""

import dataclasses
import functools
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import values_by_name, without_number
from tfk_patterns.parity.data import Data, batch_size
from tfk_patterns.parity.observation import call_layer
from tfk_patterns.parity.reference import equal_circumstances

_LEARNING_RATE = 1.0  # one step only: so that what moves a weight is as large as it can be


@dataclasses.dataclass(frozen=True)
class Step:
    """What one training step gave.

    Args:
        logs: Log name to its value: the loss, and the layer's metrics.
        weights: Name to value of the trainable variables of the layer.
        state: Name to value of its other variables, metrics' left out.
    """

    logs: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    state: dict[str, np.ndarray]


def step(subject, strategy, data: Data, training: bool) -> Step:
    """Trains a fresh layer for one step of `fit`, in eager mode.

    Args:
        subject: The subject of the check.
        strategy: The `tf.distribute.Strategy`.
        data: The global batch.
        training: The `training` argument of the layer's call; `False` turns randomness off.
    """
    with equal_circumstances():
        with strategy.scope():
            layer = subject.reference.fresh()
            model = _MeanModel(layer, data, subject.case.fixed_kwargs, training)
            samples = tf.range(batch_size(data))
            _keras.build_on_replicas(strategy, model, samples)
            subject.reference.restore(layer)
            optimizer = keras.optimizers.SGD(learning_rate=_LEARNING_RATE)
            model.compile(optimizer=optimizer, run_eagerly=True)
        batches = tf.data.Dataset.from_tensors((samples,))
        history = model.fit(batches, epochs=1, shuffle=False, verbose=0).history
    # Built inside of a model, a layer gives its variables longer names.
    names = list(values_by_name(_keras.state_variables(subject.reference.layer)))
    named = dict(zip(names, _keras.state_variables(layer), strict=True))
    values = {name: np.asarray(tf.convert_to_tensor(v)) for name, v in named.items()}
    trainable = {id(variable) for variable in layer.trainable_variables}
    return Step(
        logs={without_number(name): np.float32(logged[0]) for name, logged in history.items()},
        weights={name: values[name] for name, v in named.items() if id(v) in trainable},
        state={name: values[name] for name, v in named.items() if id(v) not in trainable},
    )


class _MeanModel(keras.Model):
    """The layer, and a loss that is the mean over the samples of a weighted sum of its outputs.

    It takes the places of samples in the batch, and not the samples: before it trains, Keras 3
    adds up what the replicas are given, which neither masks nor strings can bear.
    """

    def __init__(self, layer, data, fixed_kwargs, layer_training):
        super().__init__(name="parity_replicas")
        _keras.keep_losses_per_replica(self)  # its own; what the layer adds is the layer's matter
        self.layer = layer
        self.fixed_kwargs = fixed_kwargs
        self.layer_training = layer_training
        self.gather = functools.partial(_rows, data)
        # Keras 2 refuses to train a model without a weight; this one gets a gradient of zero.
        self.unused = self.add_weight(name="unused", shape=(1,), initializer="zeros")

    def call(self, places, training=None):
        data = self.gather(places)
        training = self.layer_training if training else False
        outputs = call_layer(self.layer, data, self.fixed_kwargs, training)
        self.add_loss(mean_over_samples(outputs) + 0.0 * tf.reduce_sum(self.unused))
        return outputs


def _rows(data: Data, places: tf.Tensor) -> Data:
    return tf.nest.map_structure(
        lambda leaf: None if leaf is None else tf.gather(leaf, places), data
    )


def mean_over_samples(outputs: Any) -> tf.Tensor:
    """A loss of which that of a batch is the mean of those of its halves."""
    total = tf.zeros((), tf.float32)
    for number, tensor in enumerate(tf.nest.flatten(outputs), start=1):
        if isinstance(tensor, tf.Tensor) and tensor.dtype.is_floating and tensor.shape.rank:
            rows = tf.cast(tf.reshape(tensor, [tf.shape(tensor)[0], -1]), tf.float32)
            place = tf.cast(tf.range(tf.shape(rows)[1]), tf.float32)
            weights = tf.sin(1.7 * number + 12.9898 * place)
            total += tf.reduce_mean(tf.reduce_sum(rows * weights, axis=1))
    return total
