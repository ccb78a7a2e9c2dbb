"""Checks three layers that look right, shows what is wrong with each, and checks the mended ones.

Run it with `python examples/check_your_layer.py`. A page of the same reports:
`python -m tfk_patterns check examples.check_your_layer:BROKEN --html report.html`.

Each fault is silent in Keras: the models train, and their numbers are wrong.
"""

import inspect
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # only errors from TensorFlow's C++ side

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.syntax import Syntax
from tensorflow import keras

from tfk_patterns.layers import MaskedPooling1D
from tfk_patterns.parity import LayerCase, check_layer

STEPS = np.random.default_rng(0).normal(size=(8, 5, 3)).astype("float32")
MASK = np.arange(5) < np.array([[5], [3], [1], [4], [5], [2], [1], [5]])  # sequences end early

console = Console(width=None if Console().is_terminal else 100)


class WarmUp(keras.layers.Layer):
    """Lets its inputs in little by little over the first hundred training steps."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.steps = 0

    def call(self, inputs, training=None):
        if training:
            self.steps += 1  # wrong: in the graph this line runs when it is traced, and not again
        return inputs * min(self.steps / 100, 1.0)


class MendedWarmUp(keras.layers.Layer):
    """The same, with the steps in a weight, which the graph changes in each of its steps."""

    def build(self, input_shape):
        self.steps = self.add_weight(
            name="steps", shape=(), initializer="zeros", dtype="int64", trainable=False
        )
        self.built = True

    def call(self, inputs, training=None):
        if training and self.trainable:
            self.steps.assign_add(1)
        steps = tf.cast(tf.convert_to_tensor(self.steps), "float32")
        return inputs * tf.cast(tf.minimum(steps / 100, 1.0), inputs.dtype)


class SequenceMean(keras.layers.Layer):
    """The mean over the steps of each sequence."""

    def call(self, inputs):
        return tf.reduce_mean(inputs, axis=1)  # wrong: over the padding, too


class Clip(keras.layers.Layer):
    """Clips its inputs."""

    def __init__(self, low=-1.0, high=1.0, **kwargs):
        super().__init__(**kwargs)
        self.low = low
        self.high = high

    def call(self, inputs):
        return tf.clip_by_value(inputs, self.low, self.high)

    def get_config(self):
        return {**super().get_config(), "low": self.low}  # wrong: `high` is 1.0 after loading


class MendedClip(Clip):
    """The same, with every argument of the constructor in its config."""

    def get_config(self):
        return {**super().get_config(), "high": self.high}


BROKEN = [
    LayerCase(WarmUp, STEPS),
    LayerCase(SequenceMean, STEPS, mask=MASK),
    LayerCase(lambda: Clip(high=0.5), STEPS, name="Clip"),
]
MENDED = [
    LayerCase(MendedWarmUp, STEPS),
    LayerCase(lambda: MaskedPooling1D("mean"), STEPS, mask=MASK, name="MaskedPooling1D"),
    LayerCase(lambda: MendedClip(high=0.5), STEPS, name="MendedClip"),
]


SOURCES = {
    "WarmUp": inspect.getsource(WarmUp),
    "MendedWarmUp": inspect.getsource(MendedWarmUp),
    "SequenceMean": inspect.getsource(SequenceMean),
    "MaskedPooling1D": 'tfk_patterns.layers.MaskedPooling1D("mean")',
    "Clip": inspect.getsource(Clip),
    "MendedClip": inspect.getsource(MendedClip),
}


def main():
    """Prints layers and reports; returns the reports of the broken layers and of the mended."""
    start = time.perf_counter()
    reports = {"broken": [], "mended": []}
    for broken, mended in zip(BROKEN, MENDED, strict=True):
        for kind, case, checks in (("broken", broken, "fast"), ("mended", mended, None)):
            console.rule(case.name)
            console.print(Syntax(SOURCES[case.name], "python", background_color="default"), "")
            reports[kind].append(check_layer(case, checks=checks, on_fail="report"))
            console.print(reports[kind][-1], "")
    found = [[failure.check for failure in report.failures] for report in reports["broken"]]
    console.rule("Summary")
    for broken, checks, mended in zip(BROKEN, found, reports["mended"], strict=True):
        console.print(f"{broken.name} fails {', '.join(checks)}; {mended.case}: {mended.summary}.")
    console.print(f"Took {time.perf_counter() - start:.0f} s.")
    return reports


if __name__ == "__main__":
    # The check `replicas` needs two devices, which must be made before TensorFlow starts.
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    if not all(main()["mended"]):
        raise SystemExit("A mended layer fails: see above.")
