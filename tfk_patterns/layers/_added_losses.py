"""Whether a layer may add losses, which a graph must know before it runs."""

import types
from collections.abc import Iterator

from tfk_patterns import _keras


def may_add_losses(layer) -> bool:
    """Whether a method of the layer, or of one in it, names `add_loss`, or one is regularised.

    The layer's own activity regulariser does not count: Keras applies it to the outputs.
    """
    return any(
        (part is not layer and getattr(part, "activity_regularizer", None) is not None)
        or any("add_loss" in code.co_names for code in _own_code(type(part)))
        for part in _keras.sublayers(layer)
    )


def _own_code(cls: type) -> Iterator[types.CodeType]:
    """The code of all methods of a class that are not of Keras itself."""
    for base in cls.__mro__:
        if base is object or _keras.is_keras_own(base):
            continue
        for thing in vars(base).values():
            while hasattr(thing, "__wrapped__"):
                thing = thing.__wrapped__
            if code := getattr(thing, "__code__", None):
                yield from _with_inner(code)


def _with_inner(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _with_inner(constant)
