"""What a layer of any Python costs: in a graph as an island, and where the whole model is eager.

Run it on an idle machine: `python benchmarks/dynamic.py [--json FILE]`. TensorFlow has one thread.
On Keras 2, `dynamic="island"` is measured, since `True` runs the whole model eagerly there.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported
os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", OMP_NUM_THREADS="1")

import numpy as np
import tensorflow as tf
from pairs import Pairs, measure, row
from table import show
from tensorflow import keras

from tfk_patterns import layers

SECONDS = 0.1  # one timing takes that long at least
BLOCKS, FILTERS, BATCH = 8, 16, 32


class FixedPoint(layers.DynamicLayer):
    """Applies a layer to its own output until that stays the same: how often depends on values."""

    def build(self, input_shape):
        self.step = keras.layers.Dense(
            input_shape[-1], "tanh", kernel_initializer=keras.initializers.RandomNormal(stddev=0.1)
        )
        self.step.build(input_shape)
        self.built = True

    def call(self, inputs):
        state, change = inputs, 1.0
        while change > 1e-3:
            following = self.step(state) + inputs
            change = float(tf.reduce_max(tf.abs(following - state)))
            state = following
        return state

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)


class Scale(layers.DynamicLayer):
    """Adds up as many weights as it is told, and does nothing else."""

    def __init__(self, weights, **kwargs):
        super().__init__(**kwargs)
        self.count = weights

    def build(self, input_shape):
        self.scales = [
            self.add_weight(name=f"scale_{i}", shape=(), initializer="ones")
            for i in range(self.count)
        ]
        self.built = True

    def call(self, inputs):
        return inputs * tf.add_n([tf.convert_to_tensor(scale) for scale in self.scales])

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)


def network(run_eagerly: bool) -> keras.Model:
    """Blocks of convolution, batch normalisation and ReLU, and one dynamic layer."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((16, 16, 3))
    for _ in range(BLOCKS):
        x = keras.layers.Conv2D(FILTERS, 3, padding="same")(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    x = FixedPoint(dynamic="island")(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, keras.layers.Dense(10)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, run_eagerly=run_eagerly, jit_compile=False)
    return model


def training_steps():
    """A step of training in the graph, and one of the same model with `run_eagerly=True`."""
    draws = np.random.default_rng(0)
    images = draws.normal(size=(BATCH, 16, 16, 3)).astype("float32")
    labels = draws.integers(10, size=BATCH)

    def step_of(model):
        return lambda: model.train_on_batch(images, labels) and None

    return step_of(network(run_eagerly=False)), step_of(network(run_eagerly=True))


def calls(weights: int, with_gradients: bool):
    """A call of a layer that adds up its weights, as an island and in eager mode."""
    layer, inputs = Scale(weights, dynamic="island"), tf.ones((8, 8))
    layer(inputs)
    sources = [tf.convert_to_tensor(inputs), *map(_tensorflow_variable, layer.scales)]

    def call(inputs):
        if not with_gradients:
            return layer(inputs)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
        return tape.gradient(outputs, [inputs, *sources[1:]])

    in_graph = tf.function(call)
    return lambda: in_graph(inputs), lambda: call(inputs)


def _tensorflow_variable(weight):
    return weight if isinstance(weight, tf.Variable) else weight.value


def cost(found: Pairs) -> Pairs:
    """By how much ours takes longer, beside a millisecond."""
    return Pairs([a - b for a, b in zip(*found, strict=True)], [1e-3] * len(found.ours))


def measured(pairs: int) -> list[dict]:
    """The rows of the table."""
    steps = measure(*training_steps(), pairs, SECONDS)
    rows = [row("training step, in the graph with an island / run_eagerly", steps, round(1 / 3, 3))]
    for weights in (1, 10, 50):
        for with_gradients in (False, True):
            found = measure(*calls(weights, with_gradients), pairs, SECONDS)
            name = f"call{' and gradients' * with_gradients}, {weights} weights"
            rows.append(row(f"{name}: island - eager / 1 ms", cost(found), 1.0))
    return rows


def main() -> None:
    """Measures, prints a table, and writes it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where to write the table")
    parser.add_argument("--pairs", type=int, default=21, help="pairs of timings for each row")
    options = parser.parse_args()
    rows = measured(options.pairs)
    show(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
