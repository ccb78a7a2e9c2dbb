"""Cases of every public model: made in three ways, with default and other arguments."""

import numpy as np
from tensorflow import keras

from tests.models.networks import X, Y
from tfk_patterns import layers, models
from tfk_patterns.parity import ModelCase

_DRAWS = np.random.default_rng(5)
LABELS = _DRAWS.integers(0, 2, size=24)
TOKENS = _DRAWS.integers(0, 9, size=(24, 5)).astype("int32")
_SPARSE = keras.losses.SparseCategoricalCrossentropy


class Network:
    """The body of a subclassed model; its head has as many outputs as it is told."""

    def __init__(self, units=2, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = keras.layers.Dense(
            5, "tanh", kernel_regularizer="l2", activity_regularizer=keras.regularizers.L2(0.01)
        )
        self.head = keras.layers.Dense(units)

    def call(self, inputs):
        return self.head(self.hidden(inputs))


def _registered(cls):
    return keras.utils.register_keras_serializable("tests.models")(cls)


@_registered
class Plain(Network, models.TrainStepModel):
    """A network without an algorithm of its own."""


@_registered
class Sharp(Network, models.SharpnessAwareModel):
    """A network trained by SAM."""


@_registered
class Accumulating(Network, models.GradientAccumulationModel):
    """A network trained by groups of batches."""


@_registered
class Distilled(Network, models.DistillationModel):
    """A network with a teacher."""


def _sequential(cls, middle=(), **arguments):
    parts = [keras.layers.Dense(5, "tanh"), *middle, keras.layers.Dense(2)]
    return cls([keras.Input((4,)), *parts], **arguments)


def _functional(cls, **arguments):
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(5, "tanh", activity_regularizer="l2")(inputs)
    outputs = {name: keras.layers.Dense(2, name=name)(hidden) for name in ("low", "high")}
    return cls(inputs, outputs, **arguments)


def _embedded(cls, **arguments):
    parts = [keras.layers.Embedding(9, 3), keras.layers.Flatten(), keras.layers.Dense(2)]
    return cls([keras.Input((5,), dtype="int32"), *parts], **arguments)


def _teacher(make=_sequential):
    """One with state and dropout, of which inference makes no use."""
    teacher = make(keras.Model if make is _functional else keras.Sequential)
    teacher.trainable = False
    return teacher


def _block():
    return [layers.BatchNormDropout(rate=0.3, seed=1)]


def _case(name, make, y=Y, x=X, loss="mse", optimizer="sgd", metrics=("mae",), failing=None):
    def compiled(**mode):
        model = make()
        chosen = optimizer() if callable(optimizer) else optimizer
        model.compile(chosen, loss, metrics=None if metrics is None else _copy(metrics), **mode)
        return model

    return ModelCase(compiled, x, y, name=name, expected_failures=failing or {})


def _copy(metrics):
    return dict(metrics) if isinstance(metrics, dict) else list(metrics)


_BOTH = {
    "y": {"low": Y, "high": -Y},
    "loss": {"low": "mse", "high": "mae"},
    "metrics": {"low": ["mae"], "high": ["mse"]},
}
_CLASSES = {"y": LABELS, "loss": _SPARSE(from_logits=True), "metrics": ("accuracy",)}
_SAM, _ACCUMULATION = models.SharpnessAwareModel, models.GradientAccumulationModel
_DISTILLATION = models.DistillationModel


def _clipped():
    return keras.optimizers.Adam(0.01, clipnorm=0.1)


def _labels(low, high):
    return {"low": low, "high": high}


CASES = [
    _case("plain", Plain),
    _case("plain_functional", lambda: _functional(models.TrainStepModel), **_BOTH),
    _case("plain_block", lambda: _sequential(models.TrainStepModel, _block()), optimizer=_clipped),
    _case("sharp", Sharp),
    _case("sharp_functional", lambda: _functional(_SAM, rho=0.3, adaptive=True), **_BOTH),
    _case("sharp_block", lambda: _sequential(_SAM, _block(), rho=0.2), optimizer=_clipped),
    _case("sharp_embedded", lambda: _embedded(_SAM, rho=0.2), x=TOKENS),
    _case("accumulating", lambda: Accumulating(last_group="carry")),
    _case("accumulating_functional", lambda: _functional(_ACCUMULATION, steps=4), **_BOTH),
    _case(
        "accumulating_incomplete",
        lambda: _sequential(_ACCUMULATION, steps=3),
        failing={"batch_methods": "`fit` applies the last group, of which a batch knows nothing"},
    ),
    _case("accumulating_single", lambda: _sequential(_ACCUMULATION, steps=1), optimizer=_clipped),
    _case("accumulating_embedded", lambda: _embedded(_ACCUMULATION), x=TOKENS),
    _case("distilled", lambda: Distilled(teacher=_teacher()), **_CLASSES),
    _case(
        "distilled_functional",
        lambda: _functional(_DISTILLATION, teacher=_teacher(_functional), temperature=3.0),
        y=_labels(LABELS, 1 - LABELS),
        loss=_labels(_SPARSE(from_logits=True), _SPARSE(from_logits=True)),
        metrics=None,
    ),
    _case(
        "distilled_block",
        lambda: _sequential(_DISTILLATION, _block(), teacher=_teacher(), alpha=0.2),
        optimizer=_clipped,
        **_CLASSES,
    ),
    _case(
        "distilled_alone",
        lambda: _sequential(_DISTILLATION, teacher=_teacher(), alpha=0.0),
        y=None,
        loss=None,
        metrics=None,
    ),
]

_QUICK = {"sharp", "accumulating"}
QUICK = [case for case in CASES if case.name in _QUICK]
REST = [case for case in CASES if case.name not in _QUICK]
