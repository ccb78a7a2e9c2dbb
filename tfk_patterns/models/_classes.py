"""The class of a model that is made from tensors or from a list of layers.

`keras.Model(inputs, outputs)` is an object of another class than `keras.Model`. For a subclass
Keras changes the bases of the class instead, for good: nothing can be derived from it afterwards
that has a `call` of its own (docs/findings.md). Here a class of the same name is derived.
"""

import functools
import inspect

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


def functional_class_of(cls: type) -> type:
    """A class of functional models; itself where it is one."""
    return _joined(cls, _keras.functional_class())


@functools.cache
def _joined(cls: type, kind: type) -> type:
    if issubclass(cls, kind):
        return cls
    names = ("__module__", "__qualname__", "__doc__")
    joined = type(cls)(cls.__name__, (cls, kind), {name: getattr(cls, name) for name in names})
    package, _, name = keras.utils.get_registered_name(cls).rpartition(">")
    if package:
        for one in (joined, cls):  # files name both alike, and get the class back
            keras.utils.register_keras_serializable(package, name)(one)
    return joined
