"""The calls that a layer makes of the layers in it."""

import dataclasses
from typing import Any

from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity.calls.watching import watched_calls
from tfk_patterns.parity.objects.captured import is_of_a_library
from tfk_patterns.parity.observation import masks_of
from tfk_patterns.parity.subject import Subject


@dataclasses.dataclass(frozen=True)
class InnerCall:
    """One call of a layer inside the layer of the case, in eager mode.

    Args:
        layer: The layer that was called.
        args: What it was given by position.
        kwargs: What it was given by keyword.
        masks: The masks on the tensors among `args`, in their order, as they were then.
    """

    layer: Any
    args: tuple
    kwargs: dict[str, Any]
    masks: list

    @property
    def has_mask(self) -> bool:
        """Whether a mask reached it."""
        return self.kwargs.get("mask") is not None or any(mask is not None for mask in self.masks)

    @property
    def is_of_keras(self) -> bool:
        """Whether it ran code of Keras alone, in the layers in it too."""
        return all(map(_is_of_keras, _keras.sublayers(self.layer)))


def _is_of_keras(layer) -> bool:
    own = _keras.is_keras_own(type(layer)) and not isinstance(layer, keras.layers.Lambda)
    return own and is_of_a_library(getattr(layer, "activation", None))


def inner_calls(subject: Subject, layer, training: bool) -> list[InnerCall]:
    """The calls of other layers during a call of a built layer on the data of the case."""
    found: list[InnerCall] = []

    def note(called, *args, **kwargs):
        if called is not layer:
            found.append(InnerCall(called, args, kwargs, masks_of(args)))

    subject.reference.restore(layer)
    with watched_calls(note):
        subject.raw_call(layer, training=training)
    return found
