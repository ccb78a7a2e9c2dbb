"""What to build, and what to feed it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfk_patterns import _validate


@dataclasses.dataclass(frozen=True, eq=False)
class LayerCase:
    """A layer and the data to call it with.

    Args:
        make: Callable without arguments that returns a fresh layer, unbuilt or built.
        inputs: The array, or the list, tuple or dict of arrays, that the layer takes first.
        mask: The Keras mask of the inputs: a boolean array, or arrays and `None`s in the structure
            of `inputs`. It reaches the layer as from an upstream layer.
        call_kwargs: More keyword arguments of the call. Arrays whose first axis is the batch are
            inputs like the others. `training` is not allowed: the harness sets it.
        expected_failures: Check name to the reason why the layer may fail it.
        tolerance: Overrides the tolerances: one number, relative and absolute, or a mapping from
            dtype name to `(rtol, atol)`.
        name: Name in reports and test ids; that of `make` by default.

    Raises:
        TypeError: `make` is not callable, or another argument has the wrong type.
        ValueError: `call_kwargs` holds `training`.

    Example:

    >>> import numpy as np
    >>> import tfk_patterns
    >>> from tfk_patterns.parity import LayerCase
    >>> case = LayerCase(
    ...     lambda: tfk_patterns.layers.MaskedPooling1D("max"),
    ...     inputs=np.ones((2, 3, 4), "float32"),
    ...     mask=np.array([[True, True, False], [True, False, False]]),
    ...     name="masked_max",
    ... )
    >>> case.name
    'masked_max'
    """

    make: Callable[[], Any]
    inputs: Any
    mask: Any = None
    call_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    expected_failures: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tolerance: float | Mapping[str, tuple[float, float]] | None = None
    name: str | None = None

    def __post_init__(self):
        if not callable(self.make):
            raise _validate.type_error("make", "a callable that returns a fresh layer", self.make)
        for name in ("call_kwargs", "expected_failures"):
            if not isinstance(getattr(self, name), Mapping):
                raise _validate.type_error(name, "a dict", getattr(self, name))
        if "training" in self.call_kwargs:
            raise _validate.value_error(
                "call_kwargs", "without `training`, which the harness sets", dict(self.call_kwargs)
            )
        if self.tolerance is not None and not isinstance(self.tolerance, Mapping):
            _validate.non_negative("tolerance", self.tolerance)
        if self.name is None:
            object.__setattr__(self, "name", _name_of(self.make))

    @property
    def batched_kwargs(self) -> dict[str, np.ndarray]:
        """The arrays in `call_kwargs` whose first axis is the batch."""
        return {key: value for key, value in self.call_kwargs.items() if self._is_batched(value)}

    @property
    def fixed_kwargs(self) -> dict[str, Any]:
        """The rest of `call_kwargs`."""
        return {
            key: value for key, value in self.call_kwargs.items() if not self._is_batched(value)
        }

    def _is_batched(self, value: Any) -> bool:
        first = _first_leaf(self.inputs)
        shape, batch = np.shape(value), np.shape(first)
        return hasattr(value, "shape") and bool(shape and batch) and shape[0] == batch[0]


def _first_leaf(structure: Any) -> Any:
    while isinstance(structure, list | tuple | dict):
        structure = next(iter(structure.values() if isinstance(structure, dict) else structure))
    return structure


def _name_of(make: Callable) -> str:
    name = getattr(make, "__name__", type(make).__name__)
    return "layer" if name == "<lambda>" else name
