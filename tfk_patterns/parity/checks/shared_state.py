"""What instances share with one another and with the rest of the process."""

import random
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import blamed
from tfk_patterns.parity.objects import object_graph, snapshot
from tfk_patterns.parity.observation import call_layer
from tfk_patterns.parity.outcome import Failure
from tfk_patterns.parity.reference import equal_circumstances

_SHARED = (
    "Make it anew in `__init__` or `build` of each instance: not as a default argument, in the "
    "body of the class, or in a module."
)
_GLOBAL = (
    "A layer must leave alone what holds for the whole process. Take `dtype` as an argument, draw "
    "from a generator of the layer's own, and leave switches to the user."
)


@define_check(
    follows=("python_state",),
    link="https://docs.python-guide.org/writing/gotchas/#mutable-default-arguments",
    fast=True,
)
def shared_state(subject):
    """Two instances share nothing that changes; making and calling one leaves globals alone.

    What the `make` of the case itself holds and passes in is left out.

    Bug: A layer that seeds NumPy for a fixed projection seeds it for everybody: data that are
    shuffled or augmented afterwards are the same in each run and each fold. Nothing is said. The
    data sets of Keras had this (https://github.com/keras-team/keras/issues/12258).

    Broken::

        class RandomProjection(keras.layers.Layer):
            def build(self, input_shape):
                np.random.seed(0)
                values = np.random.normal(size=(input_shape[-1], 2))
                initializer = keras.initializers.Constant(values)
                self.matrix = self.add_weight(
                    name="matrix", shape=values.shape, initializer=initializer, trainable=False
                )
                self.built = True

            def call(self, inputs):
                return tf.matmul(inputs, self.matrix)


        case = LayerCase(RandomProjection, steps)

    Mended::

        class RandomProjection(keras.layers.Layer):
            def build(self, input_shape):
                shape, initializer = (input_shape[-1], 2), keras.initializers.RandomNormal(seed=0)
                self.matrix = self.add_weight(
                    name="matrix", shape=shape, initializer=initializer, trainable=False
                )
                self.built = True

            def call(self, inputs):
                return tf.matmul(inputs, self.matrix)


        case = LayerCase(RandomProjection, steps)
    """
    with equal_circumstances():
        first = _Instance(subject, seed=1)
        before = list(snapshot.contents(first.layer))
        second = _Instance(subject, seed=2)
    _compare_seeding(first, second)
    passed_in = {id(found.thing) for found in object_graph.reachable(subject.case.make, "make")}
    for place in before:
        if id(place.owner) not in passed_in:
            place.require_unchanged()
    _require_no_common_variables(subject, first, second, passed_in)


class _Instance:
    """A layer, made and called from given seeds on; and what that did to the generators."""

    def __init__(self, subject, seed: int):
        random.seed(seed)
        np.random.seed(seed)
        settings = _keras.global_settings()
        hint = "Call it on the inputs of the case by hand to see the whole traceback."
        with blamed("the layer cannot be made and called", "eager", hint, check="outputs"):
            self.layer = subject.case.make()
            _compare_settings(settings, "making the layer")
            for training in (False, True):
                with tf.GradientTape() as tape:
                    call_layer(self.layer, subject.data, subject.case.fixed_kwargs, training)
                _compare_settings(settings, f"calling the layer with training={training}")
        self.watched = {object_graph.key(variable) for variable in tape.watched_variables()}
        self.python_state = random.getstate()
        self.numpy_state = np.random.get_state()[1].tobytes(), np.random.get_state()[2]


def _compare_settings(settings: dict[str, Any], doing: str) -> None:
    for name, now in _keras.global_settings().items():
        if now != settings[name]:
            text = f"{doing} changes the {name} from {settings[name]!r} to {now!r}"
            raise Failure(text, where=doing, hint=_GLOBAL)


def _compare_seeding(first: _Instance, second: _Instance) -> None:
    """From different seeds on, generators are in different states, unless they were seeded."""
    for name, attribute in (("Python's", "python_state"), ("NumPy's", "numpy_state")):
        if getattr(first, attribute) == getattr(second, attribute):
            raise Failure(
                f"making and calling the layer seeds {name} global random generator",
                where="making and calling the layer",
                hint=_GLOBAL,
            )


def _require_no_common_variables(subject, first, second, passed_in: set[int]) -> None:
    of_make = object_graph.variables(subject.case.make, "make")
    of_first = object_graph.variables(first.layer, "layer")
    for identity, found in object_graph.variables(second.layer, "layer").items():
        used = not found.by_global or identity in second.watched
        if identity in of_first and identity not in of_make and used:
            _report_shared(found.path)
    held = {id(found.thing) for found in object_graph.reachable(first.layer, "layer")}
    for found in object_graph.reachable(second.layer, "layer"):
        is_shared = id(found.thing) in held and id(found.thing) not in passed_in
        if is_shared and _keras.is_metric(found.thing):
            _report_shared(found.path)


def _report_shared(path: str) -> None:
    raise Failure(
        f"{path} is one and the same object in two layers that `make` returned",
        where=path,
        hint=_SHARED,
    )
