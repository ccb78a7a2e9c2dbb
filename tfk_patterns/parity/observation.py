"""All that comes out of a layer's calls, read inside the mode and returned from it."""

import dataclasses
import functools
import re
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.modes import RandomOps, random_ops, run_in

CALLS = 3


@dataclasses.dataclass(frozen=True)
class Observation:
    """What `CALLS` calls of a layer gave, from the reference state on, in one mode.

    Args:
        calls: One dict a call: `outputs`, `masks`, `losses`, `input_gradients`,
            `weight_gradients`, each a structure of arrays.
        variables: Name to value, after the calls, the metrics' left out.
        metrics: Name to `{"result": ..., variable name: value}`, after the calls.
        random_ops: The random operations in the trace; of no meaning in eager mode.
    """

    calls: tuple[dict[str, Any], ...]
    variables: dict[str, np.ndarray]
    metrics: dict[str, dict[str, np.ndarray]]
    random_ops: RandomOps


def observe(layer, data: dict[str, Any], fixed_kwargs: dict[str, Any], mode: str, training: bool):
    """Calls a built layer `CALLS` times in a mode and returns the `Observation`.

    Args:
        layer: The layer, in the state to start from.
        data: `{"inputs", "mask", "kwargs"}`, as tensors.
        fixed_kwargs: Keyword arguments of the call that are no tensors.
        mode: One of `modes.MODES`.
        training: The `training` argument of the call.
    """
    # A partial, and not a closure: TensorFlow would take each for a retracing of the last one.
    function = run_in(mode, functools.partial(_observed_call, layer, fixed_kwargs, training))
    calls = tuple(_as_arrays(function(data)) for _ in range(CALLS))
    return Observation(
        calls=calls,
        variables=values_by_name(_keras.state_variables(layer)),
        metrics={
            name: {"result": np.asarray(metric.result()), **values_by_name(metric.variables)}
            for name, metric in _named(_keras.metrics_of(layer), lambda m: without_number(m.name))
        },
        random_ops=RandomOps() if mode == "eager" else random_ops(function, data),
    )


def call_layer(layer, data: dict[str, Any], fixed_kwargs: dict[str, Any], training: bool):
    """Calls a layer on the data of a case, its mask attached as by an upstream layer."""
    inputs = data["inputs"]
    if data["mask"] is not None:
        inputs = tf.nest.map_structure(tf.identity, inputs)  # the caller's tensors stay bare
        for tensor, mask in zip(
            tf.nest.flatten(inputs), tf.nest.flatten(data["mask"]), strict=True
        ):
            if mask is not None:
                _keras.attach_mask(tensor, mask)
    return layer(inputs, **data["kwargs"], **fixed_kwargs, training=training)


def weighted_sum(structure) -> tf.Tensor:
    """The sum of all float tensors, each element with a fixed weight of its own.

    A plain sum would hide a gradient that forgot its upstream factor. The weights come from no
    generator, so that they are the same in every mode.
    """
    total = tf.zeros((), tf.float32)
    for number, tensor in enumerate(_float_leaves(structure), start=1):
        place = tf.cast(tf.range(tf.size(tensor)), tf.float64)
        weights = tf.cast(tf.sin(1.7 * number + 12.9898 * place), tensor.dtype)
        terms = tf.reshape(tensor, [-1]) * weights
        total += tf.cast(tf.reduce_sum(tf.cast(terms, _wide(tensor.dtype))), tf.float32)
    return total


def values_by_name(variables) -> dict[str, np.ndarray]:
    """The values of variables, under names that are the same for every instance of a layer."""
    return {
        name: np.asarray(tf.convert_to_tensor(variable))
        for name, variable in _named(variables, _keras.variable_name)
    }


def without_number(name: str) -> str:
    """A name of Keras' making less the number that it counts instances with."""
    return re.sub(r"_\d+$", "", name)


def _named(things, name_of) -> list[tuple[str, Any]]:
    """Things with their names, less the numbers Keras counts instances with; repeats numbered."""
    named: dict[str, Any] = {}
    for thing in things:
        *scopes, last = name_of(thing).split("/")
        base = name = "/".join([*map(without_number, scopes), last])
        number = 1
        while name in named:
            number += 1
            name = f"{base} ({number})"
        named[name] = thing
    return list(named.items())


def _observed_call(layer, fixed_kwargs, training, data):
    watched = [t for t in tf.nest.flatten(data) if tf.is_tensor(t) and t.dtype.is_floating]
    weights = _keras.trainable_variables(layer)
    with tf.GradientTape() as tape:
        tape.watch(watched)
        outputs = call_layer(layer, data, fixed_kwargs, training)
        losses = [tf.convert_to_tensor(loss) for loss in layer.losses]
        target = weighted_sum(outputs) + sum(
            tf.cast(tf.reduce_sum(loss), tf.float32) for loss in losses
        )
    gradients = tape.gradient(target, [*watched, *weights])
    gradients = [
        # No gradient and a gradient of zero train alike.
        tf.zeros_like(source) if gradient is None else tf.convert_to_tensor(gradient)
        for gradient, source in zip(gradients, [*watched, *weights], strict=True)
    ]
    return {
        "outputs": outputs,
        "masks": [_keras.attached_mask(output) for output in tf.nest.flatten(outputs)],
        "losses": losses,
        "input_gradients": gradients[: len(watched)],
        "weight_gradients": {
            name: gradient
            for (name, _), gradient in zip(
                _named(layer.trainable_variables, _keras.variable_name),
                gradients[len(watched) :],
                strict=True,
            )
        },
    }


def _float_leaves(structure) -> list[tf.Tensor]:
    leaves = tf.nest.flatten(structure, expand_composites=True)
    return [leaf for leaf in leaves if tf.is_tensor(leaf) and leaf.dtype.is_floating]


def _wide(dtype: tf.DType) -> tf.DType:
    return tf.float64 if dtype == tf.float64 else tf.float32


def _as_arrays(structure):
    return tf.nest.map_structure(
        lambda leaf: None if leaf is None else np.asarray(leaf), structure, expand_composites=True
    )
