"""Layers made with other arguments than the one of a case."""

from typing import Any

from tensorflow import keras

from tfk_patterns.parity.errors import blamed, shown
from tfk_patterns.parity.outcome import Failure
from tfk_patterns.parity.randomness import all_equal
from tfk_patterns.parity.saving import configs

# Another valid value of an argument whose name ends so.
_OTHER_OBJECTS = {
    "activation": ("softsign", "tanh"),
    "initializer": ("ones", "zeros"),
    "regularizer": ("l1", "l2"),
    "constraint": ("non_neg", "unit_norm"),
}


def compare_attributes(layer, again, where: str) -> None:
    """Compares what every layer has: name, dtype, whether it is trainable."""
    names = ["trainable", "compute_dtype", "dtype", "supports_masking"]
    if configs.takes(layer, "name") and configs.defines(layer, "get_config"):
        names.insert(0, "name")  # the config that Keras writes by itself may lack it
    for name in names:
        wanted, found = getattr(layer, name, None), getattr(again, name, None)
        if wanted != found:
            raise Failure(
                f"`{name}` is {found!r} in {where}, and {wanted!r} in the layer itself",
                where=f"{where}: {name}",
                hint=configs.WRONG,
            )
    wanted, found = (getattr(one, "activity_regularizer", None) for one in (layer, again))
    if (wanted is None) != (found is None):
        raise Failure(
            f"`activity_regularizer` is {found!r} in {where}, and {wanted!r} in the layer itself",
            where=f"{where}: activity_regularizer",
            hint=configs.WRONG,
        )


def try_them(subject, layer, written: dict[str, Any]) -> None:
    """Sets each simple argument to another value, which must then be in the config."""
    arguments = configs.all_arguments(layer) - configs.OF_EVERY_LAYER
    for name in sorted(arguments & written.keys()):
        value = _other_value(name, written[name])
        changed = None if value is None else configs.changed(layer, {name: value}, written)
        if changed is None:
            continue
        config_of_changed = configs.written(changed)
        found = config_of_changed.get(name)
        if not same(found, written[name]):
            continue
        # A constructor may put another value in its place, and then the config is right.
        if _keeps(changed, layer, name, value) or _differs(subject, changed, config_of_changed):
            raise Failure(
                f"a layer made with {name}={value!r} has {name}={shown(found)} in its config",
                where=f"get_config: {name}",
                hint=configs.WRONG,
            )
    if configs.defines(layer, "get_config") and not isinstance(layer, keras.Model):
        _try_arguments_of_every_layer(layer, written)


def _keeps(changed, layer, name: str, value: Any) -> bool:
    """Whether an attribute shows that the layer took the value."""
    for attribute in (name, f"_{name}"):
        if hasattr(changed, attribute):
            kept = getattr(changed, attribute)
            if isinstance(value, str):
                return not same(kept, getattr(layer, attribute))
            return same(kept, value)
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
    with blamed(f"{where} cannot be made again from its config", "from_config", configs.CANNOT):
        again = configs.rebuilt(changed, configs.written(changed))
    compare_attributes(changed, again, f"a layer from the config of {where}")


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


def same(one: Any, other: Any) -> bool:
    """Whether two values of a config are equal, booleans as such."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    try:
        return bool(one == other) or (one != one and other != other)
    except (ValueError, TypeError):  # arrays
        return one is other
