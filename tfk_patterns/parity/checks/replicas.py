"""Training a layer on two devices."""

import numpy as np
import tensorflow as tf

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.data import Data, batch_size, taken, tensors_of
from tfk_patterns.parity.errors import blamed
from tfk_patterns.parity.objects import object_graph
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.replication import replica_step
from tfk_patterns.parity.replication.devices import two_replicas
from tfk_patterns.parity.replication.halves import Halves, close

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
_NOT_FINITE = "on one device it is not finite either"
_OWN = "depends on the samples together, and each replica sees its own only"


@define_check(
    follows=(
        *("outputs", "losses", "metrics", "variables", "gradients", "fit", "loss_scale"),
        *("tracked_variables", "shared_state", "python_state", "wrapped_call", "metric_history"),
        *("training_argument", "weights_learn", "leaked_tensors"),
    ),
    link="https://www.tensorflow.org/guide/distributed_training#mirroredstrategy",
)
def replicas(subject):
    """A training step on two replicas is that on one device with the same batch.

    Under `tf.distribute.MirroredStrategy`, each replica with half of the batch: logs, weights,
    state.

    Bug: `fit` averages what `add_loss` gets over the replicas. A layer that divides by the size of
    the global batch, as loops of one's own must, has half of its penalty on two devices, and all of
    it on one, where it is tested (https://www.tensorflow.org/tutorials/distribute/custom_training).

    Broken::

        class Penalized(keras.layers.Layer):
            def call(self, inputs):
                replicas = tf.distribute.get_strategy().num_replicas_in_sync
                global_batch = tf.cast(tf.shape(inputs)[0] * replicas, inputs.dtype)
                self.add_loss(tf.reduce_sum(tf.square(inputs)) / global_batch)
                return inputs


        case = LayerCase(Penalized, steps)

    Mended::

        class Penalized(keras.layers.Layer):
            def call(self, inputs):
                self.add_loss(tf.reduce_mean(tf.reduce_sum(tf.square(inputs), axis=(1, 2))))
                return inputs


        case = LayerCase(Penalized, steps)
    """
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
    halves = Halves.of(subject, data, training)
    expected = replica_step.step(subject, tf.distribute.get_strategy(), data, training)
    where = "fit, two replicas"
    try:
        with blamed("a training step under tf.distribute.MirroredStrategy raises", where, _STATE):
            found = replica_step.step(subject, strategy, data, training)
    except Failure as failure:
        if "in cross-replica context" in failure.message:
            # Keras 2 calls the layer so when it builds a model, and in `fit` it never does.
            raise Skip(
                f"no model can be built in the strategy's scope: {failure.message}"
            ) from failure
        raise
    known = _finite_names(expected)
    _require_finite(found, known)
    if not {*expected.logs, *expected.weights} <= known:
        subject.tally.left_out["loss and weights"] = _NOT_FINITE
    elif halves.outputs_add_up and halves.losses_add_up:
        source = "one device"
        subject.compare(expected.logs, found.logs, where, "logs", _LOSS, source)
        subject.compare(expected.weights, found.weights, where, "weights", _LOSS, source)
    else:
        subject.tally.left_out["loss and weights"] = _OWN
    _compare_state(subject, halves, expected, found, where, known)
    subject.skip_if_nothing("; ".join(dict.fromkeys(subject.tally.left_out.values())) or _OWN)


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


def _finite_names(step: replica_step.Step) -> set[str]:
    """The names of what is finite after a step."""
    values = {**step.logs, **step.weights, **step.state}
    return {n for n, v in values.items() if v.dtype.kind not in "fc" or np.all(np.isfinite(v))}


def _require_finite(found: replica_step.Step, known: set[str]) -> None:
    """Fails where something is not finite that is so on one device."""
    for name in sorted(known - _finite_names(found)):
        text = f"{name} is not finite after a step on two replicas"
        raise Failure(text, where=f"fit, two replicas: {name}", hint=_LOSS)


def _compare_state(subject, halves: Halves, expected, found, where: str, known) -> None:
    for name, wanted in expected.state.items():
        if name not in known:
            subject.tally.left_out[name] = _NOT_FINITE
            continue
        if name not in halves.state_of_halves:
            subject.tally.left_out[name] = _OWN
            continue
        value = found.state[name]
        is_of_one = any(close(value, half) for half in halves.state_of_halves[name])
        if is_of_one and name not in halves.sums and not close(wanted, value):
            # As Keras 3 has it in its own BatchNormalization.
            subject.tally.left_out[name] = "a mean that each replica keeps for itself"
            continue
        pair = {name: wanted}, {name: value}
        subject.compare(*pair, where, "variables", _STATE, "one device")
