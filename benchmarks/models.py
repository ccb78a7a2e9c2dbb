"""What a training step of the models costs, beside one of `keras.Model`.

Run it on an idle machine: `python benchmarks/models.py [--only NAME] [--json FILE]`. TensorFlow has
one thread. Of a `GradientAccumulationModel` a whole group is timed, beside as many plain steps.
"""

import functools
import os
from collections.abc import Callable, Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported
os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", OMP_NUM_THREADS="1")

from calls import UNITS, step_of_fit
from comparisons import Job
from rows import main
from tensorflow import keras

from tfk_patterns import models

STEPS = 4  # of a group
IMAGE, CLASSES = (16, 16, 3), (10,)


def perceptron():
    """A network of two dense layers, as a list of layers."""
    hidden = keras.layers.Dense(UNITS, activation="relu")
    return [keras.Input((UNITS,)), hidden, keras.layers.Dense(UNITS)]


def convolutions():
    """A small convolutional network, as a list of layers."""
    blocks = [
        layer
        for filters in (16, 32)
        for layer in (
            keras.layers.Conv2D(filters, 3, padding="same", use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("relu"),
            keras.layers.MaxPooling2D(),
        )
    ]
    return [keras.Input(IMAGE), *blocks, keras.layers.Flatten(), keras.layers.Dense(*CLASSES)]


NETWORKS = {
    "two dense layers of 512": (perceptron, (UNITS,), (UNITS,)),
    "small CNN": (convolutions, IMAGE, CLASSES),
}
MODELS = {
    "TrainStepModel": (1.03, models.TrainStepModel),
    "SharpnessAwareModel": (2.1, models.SharpnessAwareModel),
    f"GradientAccumulationModel, {STEPS} steps": (
        1.05,
        functools.partial(models.GradientAccumulationModel, steps=STEPS),
    ),
}


def step(make: Callable, network: str, xla: bool, calls: int = 1) -> Callable:
    """As many steps of `fit` as are asked for, of a model made of a network's layers."""
    layers, inputs_shape, targets_shape = NETWORKS[network]
    model = make(layers())
    model.compile("adam", "mse", jit_compile=xla)
    one = step_of_fit(model, inputs_shape, targets_shape)

    def several():
        for _ in range(calls - 1):
            one()
        return one()

    return several


def sides(make: Callable, network: str, xla: bool, calls: int) -> tuple[Callable, Callable]:
    """The step of a model, and that of `keras.Sequential` of the same layers."""
    return tuple(step(one, network, xla, calls) for one in (make, keras.Sequential))


def jobs() -> Iterator[Job]:
    """All rows."""
    for name, (target, make) in MODELS.items():
        calls = STEPS if f"{STEPS} steps" in name else 1
        for network in NETWORKS:
            for mode, xla in {"graph": False, "XLA": True}.items():
                made = functools.partial(sides, make, network, xla, calls)
                yield Job(name, f"{name}, {mode}, {network}, batch 64", target, made)


if __name__ == "__main__":
    main(__doc__, jobs())
