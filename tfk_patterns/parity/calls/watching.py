"""Which layers are called."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from tensorflow import keras


@contextlib.contextmanager
def watched_calls(
    before: Callable[..., Any] | None = None, on_error: Callable[[Any], Any] | None = None
) -> Iterator[None]:
    """Tells of each call of any layer meanwhile, of those inside others too.

    Args:
        before: Called with the layer and the arguments, before each call.
        on_error: Called with the layer whose call raises an error, the innermost first.
    """
    original = keras.layers.Layer.__call__

    @functools.wraps(original)
    def watched(layer, *args, **kwargs):
        if before is not None:
            before(layer, *args, **kwargs)
        try:
            return original(layer, *args, **kwargs)
        except Exception:  # it is told of, and goes on its way
            if on_error is not None:
                on_error(layer)
            raise

    with mock.patch.object(keras.layers.Layer, "__call__", watched):
        yield
