"""What a batch gives, beside what its halves give, on one device."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import values_by_name
from tfk_patterns.parity.data import Data, batch_size, taken
from tfk_patterns.parity.observation import Call
from tfk_patterns.parity.outcome import Failure, Skip


@dataclasses.dataclass(frozen=True)
class Halves:
    """Whether what a batch gives follows from what its halves give, on one device.

    Args:
        outputs_add_up: Whether the outputs are those of the halves, one after the other.
        losses_add_up: Whether each loss is the mean or the sum of those of the halves.
        state_of_halves: Name to the values that a variable has after each half, where what the
            batch changes is the mean or the sum of what the halves do.
        sums: The names of those that are sums, or that each half changes alike: counts.
    """

    outputs_add_up: bool
    losses_add_up: bool
    state_of_halves: dict[str, list[np.ndarray]]
    sums: set[str]

    @classmethod
    def of(cls, subject, data: Data, training: bool) -> "Halves":
        """Calls fresh layers on the batch and on its halves."""
        size = batch_size(data)
        half = size // 2
        parts = (range(size), range(half), range(half, size))
        try:
            (whole, after), *pair = [_call(subject, taken(data, part), training) for part in parts]
        except Failure:
            raise
        except Exception as error:
            raise Skip("the layer cannot be called on half of the batch") from error
        calls, states = zip(*pair, strict=True)
        before = values_by_name(_keras.state_variables(subject.layer()))
        of_halves, sums = {}, set()
        for name, start in before.items():
            if start.dtype.kind in "SUO":
                continue
            ends = [state[name] for state in states]
            change, *changes = (_exact(end) - _exact(start) for end in (after[name], *ends))
            if _adds_up(change, changes):
                of_halves[name] = ends
            if close(change, np.add(*changes)) or close(*changes):
                sums.add(name)
        return cls(
            outputs_add_up=_outputs_add_up(whole, calls),
            losses_add_up=_losses_add_up(whole, calls),
            state_of_halves=of_halves,
            sums=sums,
        )


def _call(subject, data: Data, training: bool) -> tuple[Call, dict[str, np.ndarray]]:
    layer = subject.layer()
    call = subject.call(layer, training=training, data=data)
    return call, values_by_name(_keras.state_variables(layer))


def _outputs_add_up(whole: Call, halves: tuple[Call, ...]) -> bool:
    parts = [tf.nest.flatten(half.outputs) for half in halves]
    for output, *pair in zip(tf.nest.flatten(whole.outputs), *parts, strict=True):
        if not np.ndim(output) or len(output) != sum(map(len, pair)):
            return False
        if not close(output, np.concatenate(pair)):
            return False
    return True


def _losses_add_up(whole: Call, halves: tuple[Call, ...]) -> bool:
    pairs = zip(*(half.losses for half in halves), strict=True)
    return all(_adds_up(loss, pair) for loss, pair in zip(whole.losses, pairs, strict=True))


def _adds_up(whole, pair) -> bool:
    total = np.add(*pair)
    return close(whole, total) or close(whole, total / 2)


def close(one, other) -> bool:
    """Whether two arrays are the same to the digits of their dtype.

    In float32 to more than the tolerance of comparisons: what is another number by less than that,
    as a mean over samples that count for more or less, must not be taken for the same.
    """
    one, other = np.asarray(one), np.asarray(other)
    if one.shape != other.shape or one.dtype.kind in "SUO":
        return one.shape == other.shape and bool(np.all(one == other))
    digits = 5e-2 if one.dtype.name in ("float16", "bfloat16") else 5e-5
    both = _exact(one), _exact(other)
    scale = np.max(np.abs(both[0]), initial=1e-2, where=np.isfinite(both[0]))
    return np.allclose(*both, rtol=digits, atol=digits * 1e-2 * scale, equal_nan=True)


def _exact(array: np.ndarray) -> np.ndarray:
    return array.astype("complex128" if array.dtype.kind == "c" else "float64")
