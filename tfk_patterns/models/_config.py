"""The config of a model, from the arguments of its constructor, and the model from its config."""

import inspect
from typing import Any

from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.models._classes import takes_any_arguments

_NETWORK = {"layers", "input_layers", "output_layers", "build_input_shape"}


def config_of(model, base: type) -> dict[str, Any]:
    """What `from_config` needs to make the model again.

    Args:
        model: The model.
        base: Its base class, whose own arguments, and those of Keras, are left out.

    Raises:
        NotImplementedError: An argument of the constructor is not kept as an attribute of its name,
            and no `get_config` of the model's own says what it was.
    """
    names = [name for name in _arguments(type(model), base) if hasattr(model, name)]
    missing = [name for name in _arguments(type(model), base) if name not in names]
    if missing and type(model).get_config is base.get_config:
        raise NotImplementedError(
            f"`{type(model).__name__}` must keep each argument of its constructor as an attribute "
            "of the same name, or override `get_config`, to be saved. Received: no attribute "
            + ", ".join(f"`{name}`" for name in missing)
        )
    values = {name: getattr(model, name) for name in names}
    return {
        **_network(model),
        **{name: _serialized(value) for name, value in values.items()},
    }


def model_from_config(cls: type, base: type, config: dict[str, Any], custom_objects):
    """A model of the class from what `config_of` gave."""
    names = _arguments(cls, base)
    arguments = {
        name: _deserialized(config[name], custom_objects) for name in names if name in config
    }
    rest = {name: value for name, value in config.items() if name not in arguments}
    if not takes_any_arguments(cls):  # nor `trainable`, as a rule
        trainable = rest.pop("trainable", True)
        model = cls(**rest, **arguments)
        if not trainable:  # to set it to True would thaw layers that the constructor froze
            model.trainable = False
        return model
    if "layers" not in rest:
        return cls(**rest, **arguments)
    network = {name: rest[name] for name in ("name", *_NETWORK) if name in rest}
    if "input_layers" in rest:
        plain = keras.Model.from_config({**network, "trainable": True}, custom_objects)
        structures = _keras.symbolic_structures(plain)
        return cls(*structures, name=plain.name, trainable=rest.get("trainable"), **arguments)
    # Keras asks for nothing but a model of a name, to add the layers to.
    make = keras.Sequential.from_config.__func__
    return make(lambda name: cls([], name=name, **arguments), network, custom_objects)


def _network(model) -> dict[str, Any]:
    """The part of the config that Keras knows of."""
    if not isinstance(model, _keras.functional_class() | keras.Sequential):
        return keras.layers.Layer.get_config(model)
    if not takes_any_arguments(type(model)):  # its constructor makes the network
        return {"name": model.name, "trainable": model.trainable}
    if isinstance(model, keras.Sequential):
        return keras.Sequential.get_config(model)
    return _keras.functional_config(model)


def _arguments(cls: type, base: type) -> list[str]:
    """The names of a constructor's arguments, and of those it hands its keywords on to."""
    names = []
    for one in cls.__mro__:
        if one is base:
            return names
        if "__init__" not in vars(one):
            continue
        parameters = list(inspect.signature(one.__init__).parameters.values())[1:]
        named = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        names += [name for name in named if name not in ("name", "trainable", "dtype", *names)]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return names
    return names


def _serialized(value):
    plain = value is None or isinstance(value, bool | int | float | str)
    return value if plain else keras.utils.serialize_keras_object(value)


def _deserialized(value, custom_objects):
    if isinstance(value, dict | list | tuple):
        return keras.utils.deserialize_keras_object(value, custom_objects=custom_objects)
    return value
