"""How long the harness takes: seconds a layer for all checks and for the fast ones, and a model.

Run it on an idle machine: `python benchmarks/harness.py [--json FILE]`.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity import LayerCase, ModelCase, check_layer, check_model

VECTORS = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")
STEPS = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
TARGETS = VECTORS[:, :1] - VECTORS[:, 1:2]
# All checks, the fast ones, a model; in seconds, on two cores.
TARGET = {2: (3.0, 1.5, 15.0), 3: (5.0, 1.5, 15.0)}[_keras.GENERATION]


class Gate(keras.layers.Layer):
    """A layer as users write them."""

    def build(self, input_shape):
        self.gate = self.add_weight(name="gate", shape=input_shape[-1:], initializer="zeros")
        self.built = True

    def call(self, inputs):
        return inputs * tf.sigmoid(tf.convert_to_tensor(self.gate))


LAYERS = [
    LayerCase(lambda: keras.layers.Dense(4, activation="relu"), VECTORS, name="Dense"),
    LayerCase(lambda: keras.layers.Dense(4, kernel_regularizer="l2"), STEPS, name="Dense, l2"),
    LayerCase(Gate, VECTORS),
    LayerCase(keras.layers.LayerNormalization, STEPS),
    LayerCase(keras.layers.BatchNormalization, VECTORS),
    LayerCase(lambda: keras.layers.Dropout(0.5), VECTORS, name="Dropout"),
    LayerCase(lambda: keras.layers.Conv1D(4, 3), STEPS, name="Conv1D"),
    LayerCase(keras.layers.GlobalAveragePooling1D, STEPS),
    LayerCase(lambda: keras.layers.Embedding(10, 4), np.arange(8) % 7, name="Embedding"),
]


def mlp():
    """A model with what models have: a regulariser, batch normalisation, dropout, metrics."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="relu", kernel_regularizer="l2"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse", metrics=["mae"])
    return model


def gated():
    """A model with a custom layer."""
    model = keras.Sequential([keras.Input((6,)), Gate(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


MODELS = [ModelCase(make, VECTORS, TARGETS) for make in (mlp, gated)]


def seconds(check, case, **arguments) -> float:
    """How long one call of the harness takes."""
    start = time.perf_counter()
    check(case, on_fail="report", **arguments)
    return time.perf_counter() - start


def row(name, measured, target) -> dict:
    """A row of the table: the median over the cases, and the worst."""
    median = statistics.median(measured)
    verdict = "met" if median <= target else "missed"
    return {
        "name": name,
        "median": round(median, 2),
        "worst": round(max(measured), 2),
        "target": target,
        "verdict": verdict,
    }


def main() -> None:
    """Measures, prints a table, and writes it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where to write the table")
    parser.add_argument("--repeats", type=int, default=3, help="calls for each case")
    options = parser.parse_args()
    seconds(check_layer, LAYERS[0])  # what TensorFlow loads at first is not the harness's time
    rounds = range(options.repeats)
    rows = [
        row(
            "a layer, all checks",
            [seconds(check_layer, c) for _ in rounds for c in LAYERS],
            TARGET[0],
        ),
        row(
            "a layer, fast checks",
            [seconds(check_layer, c, checks="fast") for _ in rounds for c in LAYERS],
            TARGET[1],
        ),
        row(
            "a model, all checks",
            [seconds(check_model, c) for _ in rounds for c in MODELS],
            TARGET[2],
        ),
    ]
    print(f"TensorFlow {tf.__version__}, Keras {_keras.GENERATION}, seconds")
    for found in rows:
        numbers = "median {median:6.2f}  worst {worst:6.2f}  target {target:5.1f}".format(**found)
        print(f"{found['name']:22}{numbers}  {found['verdict']}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    main()
