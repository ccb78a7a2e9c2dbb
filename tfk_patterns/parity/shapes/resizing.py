"""The data of a case at other sizes: of the batch, and of axes that the layer leaves free."""

import contextlib
import dataclasses
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.data import Data, batch_size, taken
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.subject import Subject

GROWTH = 3


@dataclasses.dataclass(frozen=True)
class Axis:
    """An axis that inputs share: the batch, or one such as that of the steps; not the features.

    Args:
        number: Its place among the axes.
        size: Its size, by which it is told from others in the same place; the batch needs none.
    """

    number: int
    size: int

    def is_in(self, leaf: Any) -> bool:
        """Whether a leaf of the data has it."""
        if self.number == 0:
            return leaf is not None and bool(leaf.shape.rank)
        return self.number in _middle_axes(leaf) and leaf.shape[self.number] == self.size


def batch_axis(data: Data) -> Axis:
    """The axis of the samples."""
    return Axis(0, batch_size(data))


def with_batch(data: Data, size: int) -> Data:
    """The data with the samples repeated, or only some of them, until there are `size`."""
    old = batch_size(data)
    return taken(data, [place % old for place in range(size)])


def grown(data: Data, axes: Iterable[Axis], by: int = GROWTH) -> Data:
    """The data with some axes longer; what is added repeats what is there."""

    def grow(leaf):
        for axis in axes:
            if axis.is_in(leaf):
                places = [place % axis.size for place in range(axis.size + by)]
                leaf = tf.gather(leaf, places, axis=axis.number)
        return leaf

    return tf.nest.map_structure(grow, data)


def free_axes(subject: Subject) -> dict[Axis, Any]:
    """The axes whose size the built layer leaves free in eager mode, and the outputs when grown."""
    return subject.shared("free_axes", lambda: _free_axes(subject))


def all_grown(subject: Subject) -> tuple[Data, Any] | None:
    """The data with all free axes longer, and the outputs; `None` where it cannot be so."""
    return subject.shared("all_grown", lambda: _all_grown(subject))


def has_fixed_size(subject: Subject, data: Data) -> bool:
    """Whether the weights depend on the sizes of other data, so that a layer is built for its own.

    Eager mode may let such data pass nevertheless.
    """
    try:
        other = subject.reference.built(subject.reference.fresh(), data)
    except Failure:
        return True
    shapes = [tuple(variable.shape) for variable in _keras.state_variables(other)]
    return shapes != [value.shape for value in subject.reference.state]


def skip_if_fixed(subject: Subject) -> None:
    """Ends a check that needs batches of other sizes than the case's, where there can be none."""
    if not batch_size(subject.data):
        raise Skip("the inputs have no batch axis, or no samples")
    if subject.is_stateful:
        raise Skip("the layer says `stateful=True`: its state has the batch size of the case")


def _free_axes(subject):
    axes = dict.fromkeys(
        Axis(number, leaf.shape[number])
        for leaf in tf.nest.flatten(subject.data["inputs"])
        for number in _middle_axes(leaf)
    )
    layer, found = subject.layer(), {}
    for axis in axes:
        subject.reference.restore(layer)
        with contextlib.suppress(Exception):  # whether it raises is the question
            found[axis] = subject.raw_call(layer, data=grown(subject.data, [axis]))
    return found


def _all_grown(subject):
    data = subject.data
    for by, axis in enumerate(free_axes(subject), start=GROWTH):
        data = grown(data, [axis], by)
    with contextlib.suppress(Exception):  # axes that are free one by one may not be so together
        if data is not subject.data:
            return data, subject.raw_call(subject.layer(), data=data)
    return None


def _middle_axes(leaf) -> range:
    """The axes between batch and features; masks and sequences of ids have no features."""
    if not isinstance(leaf, tf.Tensor) or not leaf.shape.rank:
        return range(0)
    rank = leaf.shape.rank
    has_features = leaf.dtype != tf.bool and (leaf.dtype.is_floating or rank > 2)
    return range(1, rank - has_features)
