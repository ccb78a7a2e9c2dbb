"""Four steps of `fit` on a model that holds nothing but the layer."""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import named, values_by_name, without_number
from tfk_patterns.parity.data import Data, tensors_of, unflatten, varied
from tfk_patterns.parity.observation import call_layer, weighted_sum

EPOCHS, STEPS_PER_EPOCH = 2, 2

_COMPILE = {
    "eager": {"run_eagerly": True},
    "graph": {"run_eagerly": False, "jit_compile": False},
    "xla": {"run_eagerly": False, "jit_compile": True},
}


@dataclasses.dataclass(frozen=True)
class FitObservation:
    """What four training steps gave.

    Args:
        history: Log name to its value for each epoch.
        step_losses: The loss that a callback reads after each step.
        variables: Name to value of every variable of the layer, metrics' left out.
        iterations: The optimizer's count of its steps.
    """

    history: dict[str, np.ndarray]
    step_losses: np.ndarray
    variables: dict[str, np.ndarray]
    iterations: np.ndarray


def fit(layer, data: Data, fixed_kwargs: dict[str, Any], mode: str, training: bool):
    """Trains a model around a built layer for four steps and returns the `FitObservation`.

    Args:
        layer: The layer, in the state to start from.
        data: `{"inputs", "mask", "kwargs"}`, as tensors.
        fixed_kwargs: Keyword arguments of the call that are no tensors.
        mode: One of `modes.MODES`.
        training: The `training` argument of the layer's call; `False` turns randomness off.
    """
    model = LayerModel(layer, data, fixed_kwargs, training)
    optimizer = keras.optimizers.SGD(learning_rate=0.01, momentum=0.9)
    model.compile(optimizer=optimizer, **_COMPILE[mode])
    step_losses: list[float] = []
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: step_losses.append(float(logs["loss"]))
    )
    # Other samples each step.
    steps = batches_of(varied(data, by) for by in range(STEPS_PER_EPOCH))
    history = model.fit(steps, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[record])
    return FitObservation(
        history={
            name: np.asarray(values, np.float32)
            for name, (_, values) in named(
                history.history.items(), lambda item: without_number(item[0])
            )
        },
        step_losses=np.asarray(step_losses, np.float32),
        variables=values_by_name(_keras.state_variables(layer)),
        iterations=np.asarray(int(optimizer.iterations)),
    )


class LayerModel(keras.Model):
    """The layer, and a loss that weighs each of its outputs with a fixed number."""

    def __init__(self, layer, data, fixed_kwargs, layer_training):
        super().__init__(name="parity_fit")
        self.layer = layer
        self.fixed_kwargs = fixed_kwargs
        self.layer_training = layer_training
        self.unpack = functools.partial(unflatten, data)
        # Keras 2 refuses to train a model without a weight; this one gets a gradient of zero.
        self.unused = self.add_weight(name="unused", shape=(1,), initializer="zeros")

    def call(self, tensors, training=None):
        data = self.unpack(tensors)
        training = self.layer_training if training else False
        outputs = call_layer(self.layer, data, self.fixed_kwargs, training)
        self.add_loss(tf.cast(weighted_sum(outputs), tf.float32) + 0.0 * tf.reduce_sum(self.unused))
        return outputs


def batches_of(steps: Iterable[Data]) -> tf.data.Dataset:
    """One batch a step, as flat tuples without `None`s."""
    batches = [tf.data.Dataset.from_tensors((tuple(tensors_of(data)),)) for data in steps]
    return functools.reduce(tf.data.Dataset.concatenate, batches)
