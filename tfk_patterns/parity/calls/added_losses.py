"""Losses as layers add them, whatever becomes of them."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity.outcome import Failure

_IN_BUILD = (
    "Keras drops a layer's losses whenever the layer is called, and with them what `build` or an "
    "earlier call has added: call `add_loss` in `call`, in every call. The penalty of a weight is "
    "`add_weight(regularizer=...)`."
)
_HIDDEN = (
    "Keras collects the losses of layers that are attributes of a layer, or in a list or dict that "
    "is one; it cannot see into a plain object or a closure."
)
_TWICE = "Keras adds the losses of the layers in a layer to its own: do not add them again."


@contextlib.contextmanager
def recording_added_losses() -> Iterator[list[tuple[Any, tf.Tensor]]]:
    """Lists `(layer, loss)` for every loss that a layer adds in eager mode meanwhile.

    Layers that Keras knows nothing of, in a plain object, are among them.
    """
    added: list[tuple[Any, tf.Tensor]] = []
    original = keras.layers.Layer.add_loss

    @functools.wraps(original)
    def add_loss(layer, losses, **kwargs):
        added.extend((layer, loss) for loss in tf.nest.flatten(losses) if is_eager(loss))
        return original(layer, losses, **kwargs)

    with mock.patch.object(keras.layers.Layer, "add_loss", add_loss):
        yield added


def is_eager(loss: Any) -> bool:
    """Whether it is a tensor with a value; callables and symbolic tensors are none."""
    return tf.is_tensor(loss) and hasattr(loss, "numpy")


def number(loss: Any) -> float:
    """A loss as a number; one that is no scalar as the sum that Keras makes of it."""
    return float(np.sum(np.asarray(tf.convert_to_tensor(loss), np.float64)))


def require_all_listed(layer, added: list[tuple[Any, tf.Tensor]], where: str) -> None:
    """Finds losses that were given to `add_loss` in a call and are not in `layer.losses` after it.

    Raises:
        Failure: There is one.
    """
    listed = {id(loss) for loss in layer.losses}
    for owner, loss in added:
        if id(loss) not in listed:
            known = any(owner is part for part in _keras.sublayers(layer))
            raise Failure(
                f"the loss {number(loss):.6g} that {owner.name!r} adds is not in `layer.losses`",
                where,
                _IN_BUILD if known else _HIDDEN,
            )


def require_once(layer, added: list[tuple[Any, tf.Tensor]], where: str) -> None:
    """Finds losses that count twice: layers that add what the layers in them have added already.

    Raises:
        Failure: There is one.
    """
    losses = layer.losses
    repeated = [loss for loss in losses if sum(loss is other for other in losses) > 1]
    if repeated:
        text = f"the loss {number(repeated[0]):.6g} is in `layer.losses` more than once"
        raise Failure(text, where, _TWICE)
    for owner, loss in added:
        parts = [part for part in _keras.sublayers(owner) if part is not owner]
        sums = [sum(map(number, part.losses)) for part in parts]
        own = sum(number(other) for adder, other in added if adder is owner)
        sums.append(sum(map(number, owner.losses)) - own)
        if any(total and np.isclose(number(loss), total, rtol=1e-6, atol=0) for total in sums):
            raise Failure(
                f"{owner.name!r} adds {number(loss):.6g}, the sum of the losses of layers in it, "
                "which are in `layer.losses` already",
                where,
                _TWICE,
            )
