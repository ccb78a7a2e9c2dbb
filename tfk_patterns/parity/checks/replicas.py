"""Training a layer on two devices."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity import object_graph, replica_step
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.data import Data, batch_size, taken, tensors_of
from tfk_patterns.parity.errors import blamed
from tfk_patterns.parity.observation import Call, values_by_name
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.replication import two_replicas

_SAMPLES = 4
_LOSS = (
    "Each replica sees its own share of the batch, and Keras averages what `add_loss` is given "
    "over the replicas. Add the mean over the samples at hand, and do not scale it by the number "
    "of replicas or by the size of the global batch."
)
_STATE = (
    "Each replica keeps its own copy of a variable, and the first one's is read, unless the "
    "variable says how to combine them: `add_weight(..., aggregation=...)`, the mean for a mean "
    "and the sum for `assign_add` of a count of samples; or the tensor is reduced before it is "
    "assigned, by `tf.distribute.get_replica_context().all_reduce(...)`."
)
_OWN = "depends on the samples together, and each replica sees its own only"


@define_check(
    follows=(
        *("outputs", "losses", "metrics", "variables", "gradients", "fit", "loss_scale"),
        *("tracked_variables", "shared_state", "python_state", "wrapped_call", "metric_history"),
        *("training_argument", "weights_learn"),
    ),
    link="https://www.tensorflow.org/guide/distributed_training#mirroredstrategy",
)
def replicas(subject):
    """A training step on two replicas is that on one device with the same batch."""
    strategy = two_replicas()
    of_make, of_layer = (
        object_graph.variables(root, "") for root in (subject.case.make, subject.reference.layer)
    )
    if of_make.keys() & of_layer.keys():
        raise Skip("`make` hands over variables that were made outside of the strategy's scope")
    data = _even_batch(subject)
    training = not subject.is_random(training=True)
    if not training:
        if subject.is_random(training=False):
            raise Skip("each replica draws for itself")
        subject.tally.left_out["training=True"] = "each replica draws for itself"
    halves = _Halves.of(subject, data, training)
    expected = replica_step.step(subject, tf.distribute.get_strategy(), data, training)
    where = "fit, two replicas"
    with blamed("a training step under tf.distribute.MirroredStrategy raises", where, _STATE):
        found = replica_step.step(subject, strategy, data, training)
    _require_finite(found)
    if halves.outputs_add_up and halves.losses_add_up:
        source = "one device"
        subject.compare(expected.logs, found.logs, where, "logs", _LOSS, source)
        subject.compare(expected.weights, found.weights, where, "weights", _LOSS, source)
    else:
        subject.tally.left_out["loss and weights"] = _OWN
    _compare_state(subject, halves, expected, found, where)
    subject.skip_if_nothing(_OWN)


def _even_batch(subject) -> Data:
    size = batch_size(subject.data)
    if not size or any(not leaf.shape.rank for leaf in tensors_of(subject.data)):
        raise Skip("a batch that has no samples, or no axis of them, cannot be shared")
    if any(
        isinstance(leaf, tf.RaggedTensor | tf.SparseTensor) for leaf in tensors_of(subject.data)
    ):
        raise Skip("ragged and sparse inputs are not shared among replicas here")
    if any(leaf.dtype == tf.string for leaf in tensors_of(subject.data)):
        raise Skip("layers of strings belong before the training: no replica trains them")
    return taken(subject.data, [place % size for place in range(_SAMPLES)])


@dataclasses.dataclass(frozen=True)
class _Halves:
    """Whether what a batch gives follows from what its halves give, on one device.

    Args:
        outputs_add_up: Whether the outputs are those of the halves, one after the other.
        losses_add_up: Whether each loss is the mean or the sum of those of the halves.
        state_adds_up: The same of the change of each variable, in Keras' order.
    """

    outputs_add_up: bool
    losses_add_up: bool
    state_adds_up: dict[str, bool]

    @classmethod
    def of(cls, subject, data: Data, training: bool) -> "_Halves":
        """Calls fresh layers on the batch and on its halves."""
        half = _SAMPLES // 2
        parts = (range(_SAMPLES), range(half), range(half, _SAMPLES))
        try:
            (whole, after), *pair = [_call(subject, taken(data, part), training) for part in parts]
        except Failure:
            raise
        except Exception as error:
            raise Skip("the layer cannot be called on half of the batch") from error
        calls, states = zip(*pair, strict=True)
        before = values_by_name(_keras.state_variables(subject.layer()))
        return cls(
            outputs_add_up=_outputs_add_up(whole, calls),
            losses_add_up=_losses_add_up(whole, calls),
            state_adds_up={
                name: _adds_up(after[name] - start, [state[name] - start for state in states])
                for name, start in before.items()
                if start.dtype.kind in "fiu"
            },
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
        if not _close(output, np.concatenate(pair)):
            return False
    return True


def _losses_add_up(whole: Call, halves: tuple[Call, ...]) -> bool:
    pairs = zip(*(half.losses for half in halves), strict=True)
    return all(_adds_up(loss, pair) for loss, pair in zip(whole.losses, pairs, strict=True))


def _adds_up(whole, pair) -> bool:
    total = np.add(*pair)
    return _close(whole, total) or _close(whole, total / 2)


def _close(one, other) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    if one.shape != other.shape or one.dtype.kind in "SUO":
        return one.shape == other.shape and bool(np.all(one == other))
    digits = 1e-3 if one.dtype.name in ("float32", "float64") else 5e-2
    scale = np.max(np.abs(one.astype("float64")), initial=1e-2)
    both = one.astype("float64"), other.astype("float64")
    return np.allclose(*both, rtol=digits, atol=digits * 1e-2 * scale, equal_nan=True)


def _require_finite(found: replica_step.Step) -> None:
    for values in (found.logs, found.weights, found.state):
        for name, value in values.items():
            if value.dtype.kind == "f" and not np.all(np.isfinite(value)):
                text = f"{name} is not finite after a step on two replicas"
                raise Failure(text, where=f"fit, two replicas: {name}", hint=_LOSS)


def _compare_state(subject, halves: _Halves, expected, found, where: str) -> None:
    for name, wanted in expected.state.items():
        if halves.state_adds_up.get(name) and halves.outputs_add_up:
            pair = {name: wanted}, {name: found.state[name]}
            subject.compare(*pair, where, "variables", _STATE, "one device")
        else:
            subject.tally.left_out[name] = _OWN
