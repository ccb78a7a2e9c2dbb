"""Configs, and layers made from them."""

from typing import Any

import numpy as np
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import values_by_name
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import blamed, shown
from tfk_patterns.parity.outcome import Failure
from tfk_patterns.parity.repeating import why_not_compared
from tfk_patterns.parity.saving import configs, other_arguments
from tfk_patterns.parity.saving.other_arguments import same

_SOURCE = "the layer itself"


@define_check(
    follows=("tracked_variables", "shared_state", "wrapped_call", "python_state"),
    link="https://keras.io/guides/serialization_and_saving/#custom-objects",
    fast=True,
)
def config(subject):
    """The config holds every argument as JSON, and a layer made from it does the same.

    Bug: An argument that `get_config` leaves out has its default again in a model that is loaded or
    cloned. The weights fit, so nothing is said: the model predicts, or trains on, as another one.
    Keras 3 lost `activity_regularizer` so (https://github.com/keras-team/keras/issues/19820).

    Broken::

        class Scaled(keras.layers.Layer):
            def __init__(self, factor=1.0, offset=0.0, **kwargs):
                super().__init__(**kwargs)
                self.factor, self.offset = factor, offset

            def get_config(self):
                return {**super().get_config(), "factor": self.factor}

            def call(self, inputs):
                return self.factor * inputs + self.offset


        case = LayerCase(lambda: Scaled(2.0, 1.0), steps)

    Mended::

        class Scaled(keras.layers.Layer):
            def __init__(self, factor=1.0, offset=0.0, **kwargs):
                super().__init__(**kwargs)
                self.factor, self.offset = factor, offset

            def get_config(self):
                return {**super().get_config(), "factor": self.factor, "offset": self.offset}

            def call(self, inputs):
                return self.factor * inputs + self.offset


        case = LayerCase(lambda: Scaled(2.0, 1.0), steps)
    """
    layer = subject.layer()
    configs.skip_python_code(layer)
    written = configs.written(layer)
    _require_every_argument(layer, written)
    with blamed("no layer can be made from the config", "from_config", configs.CANNOT):
        again = configs.rebuilt(layer, written)
    other_arguments.compare_attributes(layer, again, "a layer made from the config")
    _compare_behaviour(subject, layer, again)
    _compare_configs(written, configs.written(again))
    other_arguments.try_them(subject, layer, written)


def _require_every_argument(layer, written: dict[str, Any]) -> None:
    if configs.defines(layer, "from_config"):
        return  # it may know an argument under another name: what the layer does is compared
    for name in configs.own_arguments(layer):
        if name not in written and name not in configs.OF_EVERY_LAYER:
            names = ", ".join(sorted(written)) or "nothing"
            raise Failure(
                f"the constructor takes `{name}`, but the config has only {names}",
                where=f"get_config: {name}",
                hint=configs.WRONG,
            )


def _compare_behaviour(subject, layer, again) -> None:
    """Weights, outputs, masks and losses from one state."""
    where = "a layer made from its config"
    with blamed("a layer made from the config cannot be called", "from_config", configs.CANNOT):
        # What is drawn in `build` without a seed is in no config.
        subject.call(again, seed=1)
    shapes = [
        [tuple(variable.shape) for variable in _keras.state_variables(one)]
        for one in (layer, again)
    ]
    if shapes[0] != shapes[1]:
        text = f"{where} has variables of shapes {shapes[1]}, {_SOURCE} of {shapes[0]}"
        raise Failure(text, where=where, hint=configs.WRONG)
    subject.reference.restore(again)
    if _has_more_state(layer) or _keras.recurrent_states(layer):
        subject.tally.left_out["outputs"] = "state that is in no weight is in no config either"
        return
    for training in (False, True):
        label = f"{where}, training={training}"
        reason = why_not_compared(subject, training)
        if reason:
            subject.tally.left_out[label] = reason
            continue
        wanted = subject.call(subject.reference.restore(layer), training=training)
        with blamed("a layer made from the config cannot be called", label, configs.CANNOT):
            found = subject.call(subject.reference.restore(again), training=training)
        try:
            _compare(subject, wanted, found, label)
        except Failure:
            if not _load_own_variables(subject.reference.restore(again)):
                raise
            _compare(subject, wanted, subject.call(again, training=training), label)
        pair = (values_by_name(_keras.state_variables(one)) for one in (layer, again))
        subject.compare(*map(_in_order, pair), label, "variables", configs.WRONG, _SOURCE)


def _compare(subject, wanted, found, label: str) -> None:
    for what in ("outputs", "masks", "losses"):
        pair = getattr(wanted, what), getattr(found, what)
        subject.compare(*pair, label, what, configs.WRONG, _SOURCE)


def _load_own_variables(layer) -> bool:
    """Loads its own weights again, where it makes something of them then, as Normalization does.

    What was adapted is in the weights, and not in the config. Returns whether there was anything.
    """
    usual = keras.layers.Layer.load_own_variables
    parts = [p for p in _keras.sublayers(layer) if type(p).load_own_variables is not usual]
    for part in parts:
        store: dict[str, Any] = {}
        part.save_own_variables(store)
        part.load_own_variables(store)
    return bool(parts)


def _in_order(values: dict[str, np.ndarray]) -> list[np.ndarray]:
    return list(values.values())


def _has_more_state(layer) -> bool:
    """Whether some layer writes a file of its own, such as a vocabulary that was adapted."""
    base = getattr(keras.layers.Layer, "save_assets", None)
    return any(
        getattr(type(part), "save_assets", base) is not base for part in _keras.sublayers(layer)
    )


def _compare_configs(wanted: dict[str, Any], found: dict[str, Any]) -> None:
    for name in wanted:
        if name not in found or not same(wanted[name], found[name]):
            raise Failure(
                f"config[{name!r}] is {shown(found.get(name))} in the config of a layer made "
                f"from the config, which says {shown(wanted[name])}",
                where=f"from_config: {name}",
                hint=configs.WRONG,
            )
