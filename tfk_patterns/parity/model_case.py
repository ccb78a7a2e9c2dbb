"""A compiled model, and what to train it on."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _validate
from tfk_patterns.parity.case import check_common, name_of

OF_LAYER = ": "
"""What stands between the name of a layer and that of its check, in a report too."""

_ARRAYS = (np.ndarray, tf.Tensor)


@dataclasses.dataclass(frozen=True, eq=False)
class ModelCase:
    """A compiled model and the data to train it on.

    Args:
        make: Callable without arguments that returns a fresh, compiled `keras.Model`.
        x: The inputs: an array, or a list, tuple or dict of arrays, of shape `(samples, ...)`.
        y: The targets, likewise, where the model takes any.
        sample_weight: Weights of the samples, of shape `(samples,)`, where the model takes any.
        steps: Number of training steps in an epoch; the samples are split among them, in order.
        expected_failures: Check name to the reason why the model may fail it; for a check of a
            layer in it, `"<name>: <check>"` as the report has it, or `"<class>: <check>"` for all
            layers of a class.
        tolerance: Overrides the tolerances: one number, relative and absolute, or a mapping from
            dtype name to `(rtol, atol)`.
        name: Name in reports and test ids; that of `make` by default.

    Raises:
        TypeError: `make` is no callable, or a model; or another argument has the wrong type.
        ValueError: The arrays differ in their number of samples, there are fewer samples than
            steps, or the tolerance is negative.

    Example:

    >>> import numpy as np
    >>> from tensorflow import keras
    >>> from tfk_patterns.parity import ModelCase
    >>> def linear():
    ...     model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    ...     model.compile("sgd", "mse")
    ...     return model
    >>> case = ModelCase(linear, np.ones((16, 3), "float32"), np.ones((16, 1), "float32"))
    >>> case.name, case.batch_size
    ('linear', 4)
    """

    make: Callable[[], Any] = dataclasses.field(repr=False)
    x: Any = dataclasses.field(repr=False)
    y: Any = dataclasses.field(default=None, repr=False)
    sample_weight: Any = dataclasses.field(default=None, repr=False)
    steps: int = 4
    expected_failures: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    tolerance: float | Mapping[str, tuple[float, float]] | None = dataclasses.field(
        default=None, repr=False
    )
    name: str | None = None

    def __post_init__(self):
        if self.name is None:
            object.__setattr__(self, "name", name_of(self.make, "model"))
        check_common(self, "model")
        if _validate.non_negative_integer("steps", self.steps) < 1:
            raise _validate.value_error("steps", "at least 1", self.steps)
        if not tf.nest.flatten(self.x):
            raise _validate.type_error("x", "an array, or a structure of arrays", self.x)
        for argument in ("x", "y", "sample_weight"):
            _check_arrays(argument, getattr(self, argument), self.samples)
        if self.y is None and self.sample_weight is not None:
            raise _validate.value_error("y", "given with `sample_weight`", self.y)
        if self.samples < self.steps:
            raise ValueError(
                f"`x` must have a sample for each of the {self.steps} steps. Received: "
                f"{self.samples} samples"
            )

    def expected_of(self, *names: str) -> dict[str, str]:
        """The failures that are expected of a layer of these names: check name to reason."""
        found = {}
        for key, reason in self.expected_failures.items():
            layer, _, check = key.rpartition(OF_LAYER)
            if layer in names:
                found[check] = reason
        return found

    @property
    def samples(self) -> int:
        """The number of samples."""
        return len(tf.nest.flatten(self.x)[0])

    @property
    def batch_size(self) -> int:
        """The number of samples in a step; the last one may have fewer."""
        return -(-self.samples // self.steps)


def _check_arrays(argument: str, arrays: Any, samples: int) -> None:
    if arrays is None:
        return
    for array in tf.nest.flatten(arrays):
        if not isinstance(array, _ARRAYS) or not array.ndim:
            raise _validate.type_error(
                argument, "an array of samples, or a list, tuple or dict of such arrays", array
            )
        if len(array) != samples:
            raise ValueError(
                f"`{argument}` must have as many samples as the first array of `x`, {samples}. "
                f"Received: {len(array)}"
            )
