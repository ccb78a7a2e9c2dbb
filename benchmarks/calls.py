"""What is timed: compiled calls of a layer, and compiled training steps of a model."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tensorflow import keras

UNITS, BATCH = 512, 64  # of the model that is trained


def layer_call(layer, shape, backward: bool, xla: bool, masked: bool, training: bool) -> Callable:
    """A call of the layer with the losses it adds, and the gradients where asked."""
    rng = np.random.default_rng(0)
    inputs = tf.constant(rng.normal(size=shape), tf.float32)
    arguments = {"training": True} if training else {}
    if masked:
        lengths = rng.integers(1, shape[1] + 1, size=(shape[0], 1))
        arguments["mask"] = tf.constant(np.arange(shape[1]) < lengths)
    outputs = layer(inputs, **arguments)  # makes the weights
    output_gradient = tf.constant(rng.normal(size=outputs.shape), tf.float32)

    def forward(inputs, output_gradient):
        return layer(inputs, **arguments), list(layer.losses)

    def forward_and_backward(inputs, output_gradient):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs, losses = forward(inputs, output_gradient)
        gradients = tape.gradient(
            [outputs, *losses],
            [inputs, *layer.trainable_variables],
            [output_gradient, *map(tf.ones_like, losses)],
        )
        return outputs, losses, gradients

    call = tf.function(forward_and_backward if backward else forward, jit_compile=xla)
    return lambda: call(inputs, output_gradient)


def training_step(extra: list, xla: bool) -> Callable:
    """A step of `fit` of a model of two dense layers, with the extra layers between them."""
    first, last = keras.layers.Dense(UNITS, activation="relu"), keras.layers.Dense(UNITS)
    model = keras.Sequential([keras.Input((UNITS,)), first, *extra, last])
    model.compile("adam", "mse", jit_compile=xla)
    return step_of_fit(model, (UNITS,), (UNITS,))


def step_of_fit(model, inputs_shape: tuple, targets_shape: tuple) -> Callable:
    """A step of `fit` of a compiled model, on random data."""
    rng = np.random.default_rng(0)
    shapes = (BATCH, *inputs_shape), (BATCH, *targets_shape)
    data = [tf.constant(rng.normal(size=shape), tf.float32) for shape in shapes]
    dataset = tf.data.Dataset.from_tensors(tuple(data)).repeat()
    # Makes the function and the variables.
    model.fit(dataset, steps_per_epoch=1, shuffle=False, verbose=0)
    iterator = iter(dataset)
    return lambda: model.train_function(iterator)
