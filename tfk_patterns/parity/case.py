"""What to build, and what to feed it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _validate
from tfk_patterns.parity.comparison import TOLERANCES

_ARRAYS = (np.ndarray, np.generic, tf.Tensor, tf.RaggedTensor, tf.SparseTensor)


@dataclasses.dataclass(frozen=True, eq=False)
class LayerCase:
    """A layer and the data to call it with.

    Args:
        make: Callable without arguments that returns a fresh layer, unbuilt or built.
        inputs: The array, or the list, tuple or dict of arrays, that the layer takes first.
        mask: The Keras mask of the inputs: a boolean array, or arrays and `None`s in the structure
            of `inputs`. What it masks is padding, which must then move nothing else.
        call_kwargs: More keyword arguments of the call. Arrays whose first axis is the batch, and
            structures of such arrays, are inputs like the others. `training` is not allowed: the
            harness sets it.
        expected_failures: Check name to the reason why the layer may fail it.
        tolerance: Overrides the tolerances: one number, relative and absolute, or a mapping from
            dtype name to `(rtol, atol)`.
        name: Name in reports and test ids; that of `make` by default.

    Raises:
        TypeError: `make` is no callable, or a layer; or another argument has the wrong type.
        ValueError: `call_kwargs` holds `training`, the mask does not fit the inputs, or the
            tolerance is negative or for a dtype that has none.

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

    # Arrays would fill the screen wherever pytest shows a case.
    make: Callable[[], Any] = dataclasses.field(repr=False)
    inputs: Any = dataclasses.field(repr=False)
    mask: Any = dataclasses.field(default=None, repr=False)
    call_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    expected_failures: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    tolerance: float | Mapping[str, tuple[float, float]] | None = dataclasses.field(
        default=None, repr=False
    )
    name: str | None = None

    def __post_init__(self):
        if self.name is None:
            object.__setattr__(self, "name", name_of(self.make, "layer"))
        check_common(self, "layer")
        _check_inputs(self.inputs)
        _check_mask(self.mask, self.inputs)
        if not isinstance(self.call_kwargs, Mapping):
            raise _validate.type_error("call_kwargs", "a dict", self.call_kwargs)
        if "training" in self.call_kwargs:
            raise _validate.value_error(
                "call_kwargs", "without `training`, which the harness sets", dict(self.call_kwargs)
            )

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
        """Whether it is an array, or a structure of arrays, that has a row for each sample."""
        leaves = tf.nest.flatten(value)
        if not leaves or not all(isinstance(leaf, _ARRAYS) for leaf in leaves):
            return False
        batch = tuple(_first_leaf(self.inputs).shape)[:1]
        return bool(batch) and all(tuple(leaf.shape)[:1] == batch for leaf in leaves)


def check_common(case: Any, kind: str) -> None:
    """Checks what cases of layers and of models have in common.

    Args:
        case: The case.
        kind: `"layer"` or `"model"`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: The tolerance is negative, or for a dtype that has none.
    """
    is_made = hasattr(case.make, "get_config") and not isinstance(case.make, type)
    if is_made or not callable(case.make):
        raise _validate.type_error(
            "make",
            f"a callable that returns a fresh {kind}, as `lambda: My{kind.title()}()` is",
            case.make,
        )
    if not isinstance(case.expected_failures, Mapping):
        raise _validate.type_error("expected_failures", "a dict", case.expected_failures)
    for reason in case.expected_failures.values():
        if not isinstance(reason, str):
            raise _validate.type_error("expected_failures", "made of reasons in words", reason)
    _check_tolerance(case.tolerance)
    if not isinstance(case.name, str):
        raise _validate.type_error("name", "a string", case.name)


def name_of(make: Callable, otherwise: str) -> str:
    """The name of a callable, or something else for a lambda."""
    make = getattr(make, "func", make)  # that of a functools.partial
    name = getattr(make, "__name__", type(make).__name__)
    return otherwise if name == "<lambda>" else name


def _check_inputs(inputs: Any) -> None:
    leaves = tf.nest.flatten(inputs)
    if not leaves or not all(isinstance(leaf, _ARRAYS) for leaf in leaves):
        raise _validate.type_error(
            "inputs", "an array, or a list, tuple or dict of arrays or eager tensors", inputs
        )


def _check_mask(mask: Any, inputs: Any) -> None:
    if mask is None:
        return
    masks, leaves = tf.nest.flatten(mask), tf.nest.flatten(inputs)
    if len(masks) != len(leaves):
        raise ValueError(
            f"`mask` must have one entry, an array or None, for each of the {len(leaves)} arrays "
            f"in `inputs`. Received: {len(masks)}"
        )
    for part, leaf in zip(masks, leaves, strict=True):
        if part is None:
            continue
        if not isinstance(part, _ARRAYS) or tf.as_dtype(part.dtype) != tf.bool:
            raise _validate.type_error("mask", "made of boolean arrays and None", part)
        if tuple(part.shape) != tuple(leaf.shape[: len(part.shape)]):
            raise ValueError(
                "`mask` must have the leading axes of its input. Received: a mask of shape "
                f"{tuple(part.shape)} for an input of shape {tuple(leaf.shape)}"
            )


def _check_tolerance(tolerance: Any) -> None:
    if tolerance is None:
        return
    if not isinstance(tolerance, Mapping):
        _validate.non_negative("tolerance", tolerance)
        return
    for dtype, pair in tolerance.items():
        _validate.one_of("tolerance", dtype, TOLERANCES)
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise _validate.type_error("tolerance", "made of pairs (rtol, atol)", pair)
        for number in pair:
            _validate.non_negative("tolerance", number)


def _first_leaf(structure: Any) -> Any:
    while isinstance(structure, list | tuple | dict):
        structure = next(iter(structure.values() if isinstance(structure, dict) else structure))
    return structure
