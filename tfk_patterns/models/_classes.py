"""The class of a model that is made from tensors or from a list of layers.

`keras.Model(inputs, outputs)` is an object of another class than `keras.Model`. For a subclass
Keras changes the bases of the class instead, for good: nothing can be derived from it afterwards
that has a `call` of its own (docs/findings.md). Here a class of the same name is derived.
"""

import inspect
import types

from tensorflow import keras

from tfk_patterns import _keras


def class_for_arguments(cls: type, args: tuple, kwargs: dict) -> type:
    """The class to make an object of, for what its constructor is given."""
    if not takes_any_arguments(cls):
        return cls
    if is_functional(args, kwargs):
        return functional_class_of(cls)
    if (len(args) == 1 and isinstance(args[0], list | tuple)) or "layers" in kwargs:
        return _joined(cls, keras.Sequential)
    return cls


def takes_any_arguments(cls: type) -> bool:
    """Whether a constructor hands on what `keras.Model` and `keras.Sequential` take."""
    parameters = inspect.signature(cls.__init__).parameters.values()
    return any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)


def is_functional(args: tuple, kwargs: dict) -> bool:
    """Whether the arguments are inputs and outputs, by the rule of Keras."""
    return len(args) + len({"inputs", "outputs"} & kwargs.keys()) == 2


def check_functional_arguments(cls: type, kwargs: dict) -> None:
    """Raises a `TypeError` for an argument that no functional model has: Keras 3 drops it."""
    for name in kwargs.keys() - {"inputs", "outputs", "name", "trainable"}:
        raise TypeError(
            f"`{cls.__name__}` takes no argument `{name}` with inputs and outputs. Received: "
            f"{name}={kwargs[name]!r}"
        )


def check_own_train_step(cls: type) -> None:
    """Raises a `TypeError` for a `train_step` that does not call that of the base."""
    code = getattr(vars(cls).get("train_step"), "__code__", None)
    if code is not None and not _names(code, "train_step"):
        raise TypeError(
            f"`{cls.__name__}.train_step` must call `super().train_step(data)`: the algorithm of "
            "the base would be lost. Override `compute_gradients` or `apply_gradients`, or derive "
            "from `keras.Model`. Received: a `train_step` without that call"
        )


def _names(code, name: str) -> bool:
    """Whether code, or a function in it, uses a name."""
    inner = (one for one in code.co_consts if isinstance(one, types.CodeType))
    return name in code.co_names or any(_names(one, name) for one in inner)


def functional_class_of(cls: type) -> type:
    """A class of functional models; itself where it is one."""
    return _joined(cls, _keras.functional_class())


def _joined(cls: type, kind: type) -> type:
    """A class of both, made once, and kept by the first."""
    if issubclass(cls, kind):
        return cls
    attribute = f"_{kind.__name__.lower()}_class"
    if attribute not in vars(cls):
        setattr(cls, attribute, _derived(cls, kind))
    return vars(cls)[attribute]


def _derived(cls: type, kind: type) -> type:
    names = ("__module__", "__qualname__", "__doc__")
    joined = type(cls)(cls.__name__, (cls, kind), {name: getattr(cls, name) for name in names})
    package, _, name = keras.utils.get_registered_name(cls).rpartition(">")
    if package:
        for one in (joined, cls):  # files name both alike, and get the class back
            keras.utils.register_keras_serializable(package, name)(one)
    return joined
