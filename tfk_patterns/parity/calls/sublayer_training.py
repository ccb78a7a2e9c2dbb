"""Which `training` a layer gives to the layers in it."""

import contextlib
import functools
import inspect
from collections.abc import Iterator
from unittest import mock

from tfk_patterns import _keras
from tfk_patterns.parity.objects.captured import is_of_a_library


@contextlib.contextmanager
def called_in_training_mode(layer, instead: bool | None = None) -> Iterator[list[str]]:
    """Lists the names of layers in a layer that are called with training=True meanwhile.

    Args:
        layer: The layer.
        instead: What those are given instead of True, where it is not `None`.
    """
    names: list[str] = []
    with contextlib.ExitStack() as stack:
        for part in _keras.sublayers(layer):
            signature = inspect.signature(part.call)
            if part is not layer and "training" in signature.parameters:
                call = functools.partial(_call, part, part.call, signature, names, instead)
                stack.enter_context(mock.patch.object(part, "call", call))
        yield names


def trains_by_default(layer) -> bool:
    """Whether it is, or holds, a layer of Keras' own whose `call` says `training=True`."""
    return any(
        is_of_a_library(type(part).call)
        and "training" in inspect.signature(part.call).parameters
        and inspect.signature(part.call).parameters["training"].default is True
        for part in _keras.sublayers(layer)
    )


def _call(part, original, signature, names, instead, *args, **kwargs):
    arguments = signature.bind(*args, **kwargs)
    if arguments.arguments.get("training"):
        names.append(part.name)
        if instead is not None:
            arguments.arguments["training"] = instead
    return original(*arguments.args, **arguments.kwargs)
