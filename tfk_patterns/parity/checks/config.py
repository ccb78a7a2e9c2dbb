"""Configs, and layers made from them."""

from typing import Any

import numpy as np
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity import configs
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import blamed
from tfk_patterns.parity.observation import values_by_name
from tfk_patterns.parity.outcome import Failure
from tfk_patterns.parity.randomness import all_equal
from tfk_patterns.parity.repeating import why_not_compared

_WRONG = (
    "`get_config` must give back each argument of the constructor under its own name, with the "
    "value it was given, and `from_config` must use it: keep each in an attribute, and start from "
    "`super().get_config()`."
)
_CANNOT = "`type(layer).from_config(layer.get_config())` must work: " + _WRONG

# Another valid value of an argument whose name ends so.
_OTHER_OBJECTS = {
    "activation": ("softsign", "tanh"),
    "initializer": ("ones", "zeros"),
    "regularizer": ("l1", "l2"),
    "constraint": ("non_neg", "unit_norm"),
}


@define_check(
    follows=("tracked_variables", "shared_state", "wrapped_call", "python_state"),
    link="https://keras.io/guides/serialization_and_saving/#custom-objects",
    fast=True,
)
def config(subject):
    """The config holds every argument as JSON, and a layer made from it does the same."""
    layer = subject.layer()
    configs.skip_python_code(layer)
    written = configs.written(layer)
    _require_every_argument(layer, written)
    with blamed("no layer can be made from the config", "from_config", _CANNOT):
        again = configs.rebuilt(layer, written)
    _compare_attributes(layer, again, "a layer made from the config")
    _compare_behaviour(subject, layer, again)
    _compare_configs(written, configs.written(again))
    _try_other_arguments(subject, layer, written)


def _require_every_argument(layer, written: dict[str, Any]) -> None:
    if configs.defines(layer, "from_config"):
        return  # it may know an argument under another name: what the layer does is compared
    for name in configs.own_arguments(layer):
        if name not in written and name not in configs.OF_EVERY_LAYER:
            raise Failure(
                f"the constructor takes `{name}`, but the config has only {_listed(written)}",
                where=f"get_config: {name}",
                hint=_WRONG,
            )


def _compare_attributes(layer, again, where: str) -> None:
    names = ["trainable", "compute_dtype", "dtype", "supports_masking"]
    if configs.takes(layer, "name") and configs.defines(layer, "get_config"):
        names.insert(0, "name")  # the config that Keras writes by itself may lack it
    for name in names:
        wanted, found = getattr(layer, name, None), getattr(again, name, None)
        if wanted != found:
            raise Failure(
                f"`{name}` is {found!r} in {where}, and {wanted!r} in the layer itself",
                where=f"{where}: {name}",
                hint=_WRONG,
            )
    wanted, found = (getattr(one, "activity_regularizer", None) for one in (layer, again))
    if (wanted is None) != (found is None):
        raise Failure(
            f"`activity_regularizer` is {found!r} in {where}, and {wanted!r} in the layer itself",
            where=f"{where}: activity_regularizer",
            hint=_WRONG,
        )


def _compare_behaviour(subject, layer, again) -> None:
    """Weights, outputs, masks and losses from one state."""
    source, where = "the layer itself", "a layer made from its config"
    with blamed("a layer made from the config cannot be called", "from_config", _CANNOT):
        # What is drawn in `build` without a seed is in no config.
        subject.call(again, seed=1)
    shapes = [
        [tuple(variable.shape) for variable in _keras.state_variables(one)]
        for one in (layer, again)
    ]
    if shapes[0] != shapes[1]:
        text = f"{where} has variables of shapes {shapes[1]}, {source} of {shapes[0]}"
        raise Failure(text, where=where, hint=_WRONG)
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
        with blamed("a layer made from the config cannot be called", label, _CANNOT):
            found = subject.call(subject.reference.restore(again), training=training)
        for what in ("outputs", "masks", "losses"):
            pair = getattr(wanted, what), getattr(found, what)
            subject.compare(*pair, label, what, _WRONG, source)
        pair = (values_by_name(_keras.state_variables(one)) for one in (layer, again))
        subject.compare(*map(_in_order, pair), label, "variables", _WRONG, source)


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
        if name not in found or not _same(wanted[name], found[name]):
            raise Failure(
                f"config[{name!r}] is {_shown(found.get(name))} in the config of a layer made "
                f"from the config, which says {_shown(wanted[name])}",
                where=f"from_config: {name}",
                hint=_WRONG,
            )


def _try_other_arguments(subject, layer, written: dict[str, Any]) -> None:
    """Sets each simple argument to another value, which must then be in the config."""
    arguments = configs.all_arguments(layer) - configs.OF_EVERY_LAYER
    for name in sorted(arguments & written.keys()):
        value = _other_value(name, written[name])
        changed = None if value is None else configs.changed(layer, {name: value}, written)
        if changed is None:
            continue
        config_of_changed = configs.written(changed)
        found = config_of_changed.get(name)
        if not _same(found, written[name]):
            continue
        # A constructor may put another value in its place, and then the config is right.
        if _keeps(changed, layer, name, value) or _differs(subject, changed, config_of_changed):
            raise Failure(
                f"a layer made with {name}={value!r} has {name}={_shown(found)} in its config",
                where=f"get_config: {name}",
                hint=_WRONG,
            )
    if configs.defines(layer, "get_config") and not isinstance(layer, keras.Model):
        _try_arguments_of_every_layer(layer, written)


def _keeps(changed, layer, name: str, value: Any) -> bool:
    """Whether an attribute shows that the layer took the value."""
    for attribute in (name, f"_{name}"):
        if hasattr(changed, attribute):
            kept = getattr(changed, attribute)
            if isinstance(value, str):
                return not _same(kept, getattr(layer, attribute))
            return _same(kept, value)
    return False


def _differs(subject, changed, config_of_changed: dict[str, Any]) -> bool:
    """Whether a layer gives other outputs than one made from its config, with equal weights."""
    again = configs.rebuilt(changed, config_of_changed)
    try:
        for one in (changed, again):
            subject.call(one)
        weights = changed.get_weights()
        if [weight.shape for weight in weights] != [weight.shape for weight in again.get_weights()]:
            return True
        again.set_weights(weights)
        return any(
            not subject.is_random(training)
            and not all_equal(
                [subject.call(one, training=training).outputs for one in (changed, again)]
            )
            for training in (False, True)
        )
    except Exception:  # the layer takes the value, but not on these inputs
        return False


def _try_arguments_of_every_layer(layer, written: dict[str, Any]) -> None:
    changes = {"name": f"{layer.name}_other", "trainable": not layer.trainable, "dtype": "float64"}
    for kept in (changes.keys(), changes.keys() - {"dtype"}, {"name"}):
        changed = configs.changed(layer, {name: changes[name] for name in kept}, written)
        if changed is not None:
            break
    else:
        return
    if "trainable" in kept and changed.trainable is not changes["trainable"]:
        raise Failure(
            f"a layer made with trainable={changes['trainable']} has trainable={changed.trainable}",
            where="from_config: trainable",
            hint="Hand the arguments that every layer has on: `super().__init__(**kwargs)`.",
        )
    where = f"a layer made with {', '.join(f'{name}={changes[name]!r}' for name in sorted(kept))}"
    with blamed(f"{where} cannot be made again from its config", "from_config", _CANNOT):
        again = configs.rebuilt(changed, configs.written(changed))
    _compare_attributes(changed, again, f"a layer from the config of {where}")


def _other_value(name: str, value: Any) -> Any:
    for ending, (one, other) in _OTHER_OBJECTS.items():
        if name.endswith(ending) and (value is None or isinstance(value, str | dict)):
            return other if one in str(value).lower() else one
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2 if value else 0.25
    return None


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    try:
        return bool(one == other) or (one != one and other != other)
    except (ValueError, TypeError):  # arrays
        return one is other


def _shown(value: Any, width: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= width else f"{text[: width - 4]} ..."


def _listed(names) -> str:
    return ", ".join(sorted(names)) or "nothing"
