"""The scale of losses."""

import dataclasses
import math

import numpy as np

from tfk_patterns.parity import comparison
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.data import batch_size, taken
from tfk_patterns.parity.errors import in_one_line
from tfk_patterns.parity.outcome import Failure, Skip

_CALLS = 3  # a warm-up starts at zero
_FACTOR = 4
_SAMPLES = 8  # so many at least that a divisor of N - 1 changes little
_MODEST = 1.25

_NOT_A_SCALAR = (
    "`add_loss` wants one number a call: take the mean over the samples (tf.reduce_mean). Keras 3 "
    "silently sums what is not a scalar, Keras 2 refuses it when the model is trained."
)
_GROWS = (
    "A sum over the samples makes the penalty stronger in a larger batch: divide it by the number "
    "of samples, or use tf.reduce_mean."
)
_SHRINKS = (
    "What is divided by the number of samples does not grow with it, as a mean does not: divide a "
    "sum over the samples, or take tf.reduce_mean alone."
)


@define_check(
    follows=("outputs", "python_state"),
    link="https://github.com/keras-team/keras/issues/22018",
    fast=True,
)
def loss_scale(subject):
    """Each loss is a scalar, and does not grow or shrink with the size of the batch.

    Bug: A sum over the samples makes the penalty twice as strong in a batch of twice the size: a
    rate tuned at batch size 32 is another one at 256, while the main loss, a mean, stays the same.
    Nothing is said; the guide of Keras itself had such a sum
    (https://github.com/keras-team/keras-io/pull/1144).

    Broken::

        class Penalized(keras.layers.Layer):
            def call(self, inputs):
                self.add_loss(0.01 * tf.reduce_sum(tf.square(inputs)))
                return inputs


        case = LayerCase(Penalized, steps)

    Mended::

        class Penalized(keras.layers.Layer):
            def call(self, inputs):
                self.add_loss(0.01 * tf.reduce_mean(tf.square(inputs)))
                return inputs


        case = LayerCase(Penalized, steps)
    """
    found = False
    for training in (False, True):
        losses = [call["losses"] for call in subject.observe("eager", training).calls]
        found |= any(losses)
        for call in losses:
            for place, loss in enumerate(call):
                if loss.shape:
                    raise Failure(
                        f"losses[{place}] has shape {loss.shape}, and is no scalar",
                        f"eager, training={training}",
                        _NOT_A_SCALAR,
                    )
        if any(losses):
            _compare_sizes(subject, training)
    if not found:
        raise Skip("the layer adds no losses")


def _compare_sizes(subject, training):
    size = batch_size(subject.data)
    if not size:
        raise Skip("the inputs have no samples that could be repeated")
    repeats = math.ceil(_SAMPLES / size)
    sizes = [size * repeats * _FACTOR**power for power in range(3)]
    try:
        tiled = [_tiled(subject, training, size, target) for target in sizes]
    except Failure:
        raise
    except Exception as error:  # which sizes the layer takes is the matter of `batch_sizes`
        reason = f"it cannot be called on {sizes[0]} samples or more: {in_one_line(error)}"
        raise Skip(reason) from error
    if len({array.shape for array in tiled}) > 1:
        raise Skip("the number of losses depends on the size of the batch")
    dtype = comparison.coarser("float32", subject.compute_dtype)
    _, noise = comparison.tolerance_for(dtype, subject.case.tolerance)
    by_chance = _are_random(subject, training)
    if by_chance:
        subject.tally.left_out[f"training={training}"] = "small changes of random losses"
    for place in range(tiled[0].shape[1]):
        judged = [_change([array[call, place] for array in tiled], noise) for call in range(_CALLS)]
        known = [change for change in judged if change is not None]
        if not known:
            continue
        if by_chance:
            # Unlike a mean over more draws, a sum over the samples grows in every call.
            faulty = [known[0]] if min(change.least for change in known) > _FACTOR / 2 else []
        else:
            faulty = [change for change in known if change.is_by_the_size]
        for change in faulty[:1]:
            raise Failure(
                f"losses[{place}] is {change.values[0]:.6g} for {sizes[0]} samples and "
                f"{change.values[1]:.6g} for {sizes[1]}, the same samples repeated",
                f"eager, training={training}",
                _GROWS if change.least > 1 else _SHRINKS,
            )


@dataclasses.dataclass(frozen=True)
class _Change:
    """How a loss changes when the batch is repeated, twice."""

    values: list[float]

    @property
    def factors(self) -> tuple[float, float]:
        first, second, third = (abs(value) for value in self.values)
        return second / first, third / second

    @property
    def least(self) -> float:
        return min(self.factors)

    @property
    def is_by_the_size(self) -> bool:
        """Whether it is by about the same factor each time.

        What only is another estimate (a divisor of N - 1) changes ever less; what grows with the
        logarithm of the number of samples, as a contrast with all others in the batch does,
        changes by about the same number.
        """
        first, second = self.factors
        steps = np.diff(self.values)
        if np.isclose(*steps, rtol=0.1, atol=0.0):
            return False
        grows = first > _MODEST and second > 0.9 * first
        return grows or (first < 1 / _MODEST and second < 1.1 * first)


def _change(values, noise) -> _Change | None:
    finite = np.all(np.isfinite(values))
    return _Change(values) if finite and np.min(np.abs(values)) > noise else None


def _tiled(subject, training, size, target) -> np.ndarray:
    data = taken(subject.data, [place % size for place in range(target)])
    calls = _losses(subject, training, data)
    if len({len(call) for call in calls}) > 1:
        raise Skip("the number of losses changes from call to call")
    return np.array([[float(np.sum(loss)) for loss in call] for call in calls])


def _losses(subject, training, data) -> list[list[np.ndarray]]:
    """The losses of a first call, of a second and so on, on these data.

    The calls before are on the data of the case: a state that counts samples, and moves a loss,
    is then the same for all sizes.
    """
    found = []
    for calls_before in range(_CALLS):
        layer = subject.layer()
        for _ in range(calls_before):
            subject.call(layer, training=training)
        found.append(subject.call(layer, training=training, data=data).losses)
    return found


def _are_random(subject, training) -> bool:
    """Whether chance is in the losses, and not only in the outputs."""
    first, *others = _losses(subject, training, subject.data)
    same = all(np.array_equal(*pair) for call in others for pair in zip(first, call, strict=False))
    return not same and subject.is_random(training)
