"""All that comes out of a layer's calls, read inside the mode and returned from it."""

import dataclasses
import functools
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import as_arrays, named, values_by_name, without_number
from tfk_patterns.parity.data import Data, varied
from tfk_patterns.parity.modes import RandomOps, random_ops, run_in
from tfk_patterns.parity.objects.python_state import PythonState, python_state

CALLS = 3
OMITTED = "omitted"
"""As `training`: the call leaves the argument out."""


@dataclasses.dataclass(frozen=True)
class Observation:
    """What `CALLS` calls of a layer gave, from the reference state on, in one mode.

    Args:
        calls: One dict a call: `outputs`, `masks`, `losses`, `input_gradients`,
            `weight_gradients`, each a structure of arrays; gradients are `None` where none flows.
        variables: Name to value, after the calls, the metrics' left out.
        metrics: Name to `{"result": ..., variable name: value}`, after the calls.
        random_ops: The random operations in the trace; of no meaning in eager mode.
        python: What was kept in Python, before the calls and after each.
    """

    calls: tuple[dict[str, Any], ...]
    variables: dict[str, np.ndarray]
    metrics: dict[str, dict[str, np.ndarray]]
    random_ops: RandomOps
    python: tuple[PythonState, ...]


def observe(layer, data: Data, fixed_kwargs: dict[str, Any], mode: str, training: bool):
    """Calls a built layer `CALLS` times in a mode and returns the `Observation`.

    Each call has the samples in another order, so that what is kept of an earlier call shows.

    Args:
        layer: The layer, in the state to start from.
        data: `{"inputs", "mask", "kwargs"}`, as tensors.
        fixed_kwargs: Keyword arguments of the call that are no tensors.
        mode: One of `modes.MODES`.
        training: The `training` argument of the call.
    """
    # A partial, and not a closure: TensorFlow would take each for a retracing of the last one.
    function = run_in(mode, functools.partial(_observed_call, layer, fixed_kwargs, training))
    calls, python = [], [python_state(layer)]
    for by in range(CALLS):
        calls.append(as_arrays(function(varied(data, by))))
        python.append(python_state(layer))
    return Observation(
        calls=tuple(calls),
        variables=values_by_name(_keras.state_variables(layer)),
        metrics={
            name: {"result": as_arrays(metric.result()), **values_by_name(metric.variables)}
            for name, metric in named(_keras.metrics_of(layer), lambda m: without_number(m.name))
        },
        random_ops=RandomOps() if mode == "eager" else random_ops(function, data),
        python=tuple(python),
    )


def plain_outputs(layer, data: Data, fixed_kwargs: dict[str, Any], mode: str, training: bool):
    """The outputs of one call in a mode of which no gradient is taken: to XLA another program."""
    function = run_in(mode, functools.partial(_outputs, layer, fixed_kwargs, training))
    return as_arrays(function(data))


@dataclasses.dataclass(frozen=True)
class Call:
    """What one call of a layer gave.

    Args:
        outputs: Structure of arrays.
        masks: The Keras mask of each output, or `None`, in a flat list.
        losses: What the layer added, each as an array.
    """

    outputs: Any
    masks: list[np.ndarray | None]
    losses: list[np.ndarray]


def call_once(layer, data: Data, fixed_kwargs: dict[str, Any], training: bool | str | None) -> Call:
    """Calls a layer in eager mode."""
    return call_of(layer, call_layer(layer, data, fixed_kwargs, training))


def differentiated_call(
    layer, data: Data, fixed_kwargs: dict[str, Any], training: bool
) -> dict[str, Any]:
    """What `Observation.calls` holds, for one call in eager mode."""
    return as_arrays(_observed_call(layer, fixed_kwargs, training, data))


def call_of(layer, outputs) -> Call:
    """What a call gave that has just been made in eager mode."""
    return Call(
        outputs=as_arrays(tf.nest.map_structure(_as_tensor, outputs)),
        masks=as_arrays(masks_of(outputs)),
        losses=as_arrays(list(layer.losses)),
    )


def call_layer(layer, data: Data, fixed_kwargs: dict[str, Any], training: bool | str | None):
    """Calls a layer on the data of a case, its mask attached as by an upstream layer.

    Args:
        layer: The layer.
        data: `{"inputs", "mask", "kwargs"}`, as tensors.
        fixed_kwargs: Keyword arguments of the call that are no tensors.
        training: The `training` argument, or `OMITTED`.
    """
    inputs = data["inputs"]
    if data["mask"] is not None:
        inputs = tf.nest.map_structure(tf.identity, inputs)  # the caller's tensors stay bare
        masks = tf.nest.flatten(data["mask"])
        for tensor, mask in zip(tf.nest.flatten(inputs), masks):  # noqa: B905 AutoGraph
            if mask is not None:
                _keras.attach_mask(tensor, mask)
    mode = {} if training == OMITTED else {"training": training}
    return layer(inputs, **data["kwargs"], **fixed_kwargs, **mode)


def masks_of(outputs) -> list:
    """The Keras mask of each output, or `None`."""
    return [_keras.attached_mask(output) for output in tf.nest.flatten(outputs)]


def weighted_sum(structure) -> tf.Tensor:
    """The sum of all float tensors, each element with a fixed weight of its own.

    A plain sum would hide a gradient that forgot its upstream factor. The weights come from no
    generator, so that they are the same in every mode.
    """
    total = tf.zeros((), tf.float64)
    for number, tensor in enumerate(_float_leaves(structure), start=1):
        place = tf.cast(tf.range(tf.size(tensor)), tf.float64)
        weights = tf.cast(tf.sin(1.7 * number + 12.9898 * place), tensor.dtype)
        terms = tf.reshape(tensor, [-1]) * weights
        total += tf.reduce_sum(tf.cast(terms, tf.float64))
    return total


def target_of(call: Call) -> float:
    """What is differentiated: the weighted sum of the outputs, and the losses."""
    arrays = [leaf for leaf in tf.nest.flatten(call.outputs) if tf.as_dtype(leaf.dtype).is_floating]
    with np.errstate(invalid="ignore"):  # of infinities it is NaN
        total = sum(float(np.sum(loss, dtype="float64")) for loss in call.losses)
        for number, array in enumerate(arrays, start=1):
            weights = np.sin(1.7 * number + 12.9898 * np.arange(array.size))
            total += float(np.sum(array.ravel() * weights.astype(array.dtype), dtype="float64"))
    return total


def _outputs(layer, fixed_kwargs, training, data):
    return tf.nest.map_structure(_as_tensor, call_layer(layer, data, fixed_kwargs, training))


def _observed_call(layer, fixed_kwargs, training, data):
    # A tape takes no gradient by a sparse or a ragged tensor.
    watched = [t for t in tf.nest.flatten(data) if isinstance(t, tf.Tensor) and t.dtype.is_floating]
    weights = _keras.trainable_variables(layer)
    with tf.GradientTape() as tape:
        tape.watch(watched)
        outputs = _outputs(layer, fixed_kwargs, training, data)
        losses = [tf.convert_to_tensor(loss) for loss in layer.losses]
        target = weighted_sum(outputs) + sum(
            tf.cast(tf.reduce_sum(loss), tf.float64) for loss in losses
        )
    by_inputs, by_weights = _gradients(tape, target, (watched, weights))
    names = [name for name, _ in named(layer.trainable_variables, _keras.variable_name)]
    return {
        "outputs": outputs,
        "masks": masks_of(outputs),
        "losses": losses,
        "input_gradients": by_inputs,
        "weight_gradients": dict(zip(names, by_weights)),  # noqa: B905 AutoGraph has no strict zip
    }


def _gradients(tape, target, sources):
    """The gradients as tensors, and `None` where none flows; none at all where one is undefined."""
    try:
        gradients = tape.gradient(target, sources)
    except LookupError:  # the gradient registry has no entry for an operation
        return [], []
    return tf.nest.map_structure(_as_dense, gradients)


def _as_dense(gradient):
    """A gradient as a tensor: that of an embedding is `tf.IndexedSlices`."""
    return None if gradient is None else tf.convert_to_tensor(gradient)


def _as_tensor(leaf):
    """A Python number among the outputs as the tensor that a traced function makes of it."""
    return tf.convert_to_tensor(leaf) if isinstance(leaf, bool | int | float) else leaf


def _float_leaves(structure) -> list[tf.Tensor]:
    leaves = tf.nest.flatten(structure, expand_composites=True)
    return [leaf for leaf in leaves if tf.is_tensor(leaf) and leaf.dtype.is_floating]
