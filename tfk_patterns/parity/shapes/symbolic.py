"""What is said of the outputs without computing them, beside the outputs."""

from typing import Any

import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity import models
from tfk_patterns.parity.comparison import named_leaves
from tfk_patterns.parity.data import Data
from tfk_patterns.parity.errors import blamed
from tfk_patterns.parity.outcome import Failure
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.subject import Subject

Dims = tuple[int | None, ...] | None  # None where not even the rank is known

DEFINED = (
    "`compute_output_shape` must give what `call` returns, for every size of the inputs. Keras 3 "
    "believes it, and does not run `call` in a functional model; without it Keras finds the shapes "
    "by itself."
)
TRACED = (
    "The shape is set by hand in `call`, or read from what `build` has seen: compute it from the "
    "inputs of this call."
)


def symbolic_outputs(subject: Subject, layer, data: Data):
    """What a layer, built or not, returns in a functional model for inputs like these."""
    with equal_circumstances():
        return models.symbolic_call(layer, data, subject.case.fixed_kwargs)[1]


def compare_specs(symbolic: Any, real: Any, where: str, hint: str) -> None:
    """Compares what a functional model says of the outputs with what they are.

    Args:
        symbolic: The symbolic outputs; what they leave open agrees with anything.
        real: The outputs.
        where: For the `Failure`.
        hint: For the `Failure`.

    Raises:
        Failure: They differ in structure, dtype or shape.
    """
    said = dict(named_leaves(symbolic, "outputs"))
    found = dict(named_leaves(real, "outputs"))
    if said.keys() != found.keys():
        raise Failure(
            f"a functional model has {', '.join(said)} where the layer returns {', '.join(found)}",
            where,
            hint,
        )
    for name, output in found.items():
        says = dims(said[name].shape)
        require_shape(name, says, "in a functional model", dims(output.shape), where, hint)
        dtype = tf.as_dtype(said[name].dtype).name
        if dtype != output.dtype.name:
            raise Failure(
                f"{name} has dtype {dtype} in a functional model, and really {output.dtype.name}",
                f"{where}: {name}",
                "Keras 3 takes the compute dtype for all outputs of a layer that defines "
                "`compute_output_shape`: define `compute_output_spec` too, or neither of them.",
            )


def require_shape(name: str, said: Dims, by: str, real: Dims, where: str, hint: str) -> None:
    """Raises a `Failure` where a shape is not what was said of it."""
    if said is None or real is None:
        return
    agree = len(said) == len(real) and all(
        one in (None, other) or other is None for one, other in zip(said, real, strict=True)
    )
    if not agree:
        raise Failure(
            f"{name} has shape {said} {by}, and really {real}",
            f"{where}: {name}",
            hint,
        )


def defines_shape(subject: Subject) -> bool:
    """Whether the layer has a `compute_output_shape` of its own that takes the inputs only."""
    layer = subject.reference.layer
    return _keras.defines(layer, "compute_output_shape") and not subject.case.call_kwargs


def computed_shapes(layer, data: Data, where: str, unknown=None) -> list[Dims] | None:
    """What `compute_output_shape` says for these inputs, or `None` where it says it cannot.

    Args:
        layer: The built layer.
        data: The inputs.
        where: For the `Failure`.
        unknown: Function of a leaf and the number of an axis after the batch that says whether
            the layer must not know its size; the batch it never knows.

    Raises:
        Failure: It raises an error.
    """

    def shape_of(leaf):
        sizes = [
            None if unknown and unknown(leaf, number) else size
            for number, size in enumerate(leaf.shape[1:], start=1)
        ]
        return _keras.shape_argument([None, *sizes])

    shapes = tf.nest.map_structure(shape_of, data["inputs"])
    with blamed("`compute_output_shape` cannot be called", where, DEFINED):
        try:
            return _as_dims(layer.compute_output_shape(shapes))
        except NotImplementedError:
            return None


def dims(shape: Any) -> Dims:
    """A shape as a tuple, in either generation."""
    shape = tf.TensorShape(shape)
    return None if shape.rank is None else tuple(shape.as_list())


def _as_dims(shapes: Any) -> list[Dims]:
    """The shapes in a structure, in the order of the leaves it is for."""
    if isinstance(shapes, dict):
        return [found for key in sorted(shapes) for found in _as_dims(shapes[key])]
    if isinstance(shapes, tuple | list) and not _is_shape(shapes):
        return [found for shape in shapes for found in _as_dims(shape)]
    return [dims(shapes)]


def _is_shape(shapes: tuple | list) -> bool:
    return all(
        size is None or not isinstance(size, tuple | list | dict | tf.TensorShape)
        for size in shapes
    )
