"""What is compared with what, and the ratios that are aimed at."""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

from calls import layer_call, training_step
from tensorflow import keras

from tfk_patterns import layers

SEQUENCES = [(8, 16, 16), (32, 64, 64), (64, 256, 128)]
ANY_RANK = [(64, 256), (32, 64, 64), (16, 32, 32, 32)]


class Comparison(NamedTuple):
    """A layer, what one would take instead, and the ratio that is aimed at, at most."""

    name: str
    target: float
    ours: Callable
    peer: Callable
    shapes: list[tuple[int, ...]]
    training: bool = False
    masked: tuple[bool, bool] = (False, False)  # ours, the peer


class Tracked(layers.MetricTracking, keras.layers.Layer):
    """Tracks the mean of what passes."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.declare_metric("mean")

    def call(self, inputs):
        self.update_metric("mean", inputs)
        return inputs


def unfused():
    """The three layers that `BatchNormDropout` is."""
    activation, dropout = keras.layers.Activation("relu"), keras.layers.Dropout(0.5)
    return keras.Sequential([keras.layers.BatchNormalization(), activation, dropout])


def pooling():
    return layers.MaskedPooling1D("mean")


def penalty():
    return layers.L1L2ActivityRegularization(l1=0.1, l2=0.1)


def keras_penalty():
    return keras.layers.ActivityRegularization(l1=0.1, l2=0.1)


def fused():
    return layers.BatchNormDropout("relu", rate=0.5)


def convolution():
    return layers.MaskedConv1D(64, 3)


def keras_convolution():
    return keras.layers.Conv1D(64, 3, padding="same")


BATCH_NORMALIZATION, AVERAGE = keras.layers.BatchNormalization, keras.layers.GlobalAveragePooling1D
LAYERS = [
    Comparison("MaskedPooling1D mean", 1.03, pooling, AVERAGE, SEQUENCES, masked=(True, True)),
    Comparison("L1L2ActivityRegularization", 1.05, penalty, keras_penalty, SEQUENCES),
    Comparison("BatchNormDropout", 1.03, fused, unfused, ANY_RANK, training=True),
    Comparison(
        "RunningStandardizer",
        1.1,
        layers.RunningStandardizer,
        BATCH_NORMALIZATION,
        ANY_RANK,
        training=True,
    ),
    Comparison(
        "MaskedConv1D with a mask",
        1.15,
        convolution,
        keras_convolution,
        SEQUENCES,
        masked=(True, False),
    ),
    Comparison("MaskedConv1D without a mask", 1.15, convolution, keras_convolution, SEQUENCES),
]
STEPS = [("A tracked mean", 1.03, Tracked), ("ActivationMonitor", 1.1, layers.ActivationMonitor)]


class Job(NamedTuple):
    """A row to be measured."""

    group: str
    name: str
    target: float
    sides: Callable[[], tuple[Callable, Callable]]


def layer_sides(comparison: Comparison, shape, backward: bool, xla: bool):
    make = functools.partial(layer_call, shape=shape, backward=backward, xla=xla)
    return [
        make(layer(), masked=masked, training=comparison.training)
        for layer, masked in zip(comparison[2:4], comparison.masked, strict=True)
    ]


def step_sides(layer: Callable, xla: bool):
    return training_step([layer()], xla), training_step([], xla)


def jobs() -> Iterator[Job]:
    """All rows."""
    modes = {"graph": False, "XLA": True}
    for case in LAYERS:
        for direction, backward in {"forward": False, "forward and backward": True}.items():
            for mode, xla in modes.items():
                for shape in case.shapes:
                    name = f"{case.name}, {direction}, {mode}, {'x'.join(map(str, shape))}"
                    sides = functools.partial(layer_sides, case, shape, backward, xla)
                    yield Job(case.name, name, case.target, sides)
    for group, target, layer in STEPS:
        for mode, xla in modes.items():
            name = f"{group}, training step, {mode}, batch 64, 2 layers of 512"
            yield Job(group, name, target, functools.partial(step_sides, layer, xla))
