"""Layers under other dtype policies."""

import re
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import named
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.data import tensors_of
from tfk_patterns.parity.errors import in_one_line
from tfk_patterns.parity.numbers import dtype_errors, lost_digits, variants
from tfk_patterns.parity.numbers import numeric_gradient as numeric
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.saving import reloading

_POLICIES = ("mixed_float16", "mixed_bfloat16", "float64")
_OUTPUT_HINT = (
    "`call` makes its own dtype somewhere: take `x.dtype` or `self.compute_dtype`, for constants "
    "and casts too, and nothing of a fixed dtype such as tf.float32."
)
_WEIGHT_HINT = (
    "Leave `dtype` out of `add_weight`, or give it `self.variable_dtype`: the optimizer needs the "
    "full precision, and Keras casts the weight to the compute dtype where `call` reads it."
)


@define_check(
    follows=("outputs",), link="https://www.tensorflow.org/guide/mixed_precision", fast=True
)
def dtype_policy(subject):
    """The layer runs under mixed_float16, mixed_bfloat16 and float64, and in their dtypes.

    Under each as the global policy in force when `make` is called, and as the `dtype` in the
    layer's config. What fixes its own dtype keeps it.

    Bug: A constant or cast that names tf.float32 works until somebody trains in mixed precision,
    where the layer gets float16: TensorFlow then refuses to add the two. A layer that casts all to
    float32 runs, but loses the speed, or the digits of float64, silently
    (https://github.com/leondgarse/keras_cv_attention_models/issues/122).

    Broken::

        class AddPosition(keras.layers.Layer):
            def call(self, inputs):
                position = tf.cast(tf.range(tf.shape(inputs)[1]), tf.float32)
                return inputs + tf.sin(position)[:, tf.newaxis]


        case = LayerCase(AddPosition, steps)

    Mended::

        class AddPosition(keras.layers.Layer):
            def call(self, inputs):
                position = tf.cast(tf.range(tf.shape(inputs)[1]), inputs.dtype)
                return inputs + tf.sin(position)[:, tf.newaxis]


        case = LayerCase(AddPosition, steps)
    """
    made = variants.as_made(subject)
    tensors = [*tensors_of(subject.data), *_keras.state_variables(made.layer)]
    if not any(tf.as_dtype(tensor.dtype).is_floating for tensor in tensors):
        raise Skip("neither inputs nor weights are floats")
    usual = {value: made.call(value).outputs for value in variants.trainings(subject)}
    for policy in _POLICIES:
        try:
            variant = variants.under_policy(subject, policy)
            for training, outputs in usual.items():
                _judge_dtypes(variant, training, outputs, policy)
            _judge_weights(variant)
            if policy == "float64":
                _judge_digits(subject, variant)
            if policy == _POLICIES[0]:
                _judge_config(subject, made, variant, usual[False])
        except Skip as skip:
            subject.tally.left_out[policy] = skip.reason
    reasons = dict.fromkeys(subject.tally.left_out.values())
    subject.skip_if_nothing("; ".join(reasons) or "no output is a float")


def _judge_dtypes(variant, training: bool, usual: Any, where: str) -> None:
    """Float outputs are in the compute dtype; under mixed policies float32 is fine as well.

    One that has a dtype of its own in the `usual` outputs keeps it.
    """
    own_dtype = variant.subject.compute_dtype
    wanted = variant.layer.compute_dtype
    allowed = {part.compute_dtype for part in _keras.sublayers(variant.layer)}
    if wanted != "float64":
        allowed.add("float32")
    usual = variants.float_leaves(usual, "outputs")
    outputs = variant.call(training).outputs
    for name, leaf in variants.float_leaves(outputs, "outputs").items():
        variant.subject.tally.compared += 1
        by_intent = name not in usual or str(usual[name].dtype) != own_dtype
        # Whole numbers, as of a mask or one-hot code, lose nothing in a narrower dtype.
        exact = np.array_equal(leaf, np.round(leaf.astype("float64")))
        if str(leaf.dtype) in allowed or by_intent or exact:
            continue
        if _is_constant(variant, training, name, leaf):
            continue
        if wanted == "float64" and lost_digits.is_forced(variant, training):
            variant.subject.tally.left_out[name] = "it uses an operation that has no float64"
            continue
        raise Failure(
            f"{name} is {leaf.dtype} where the layer computes in {wanted}",
            where=f"{where}, training={training}: {name}",
            hint=_OUTPUT_HINT,
        )


def _is_constant(variant, training: bool, name: str, leaf: np.ndarray) -> bool:
    """Whether an output is the same wherever the inputs and weights are, as a setting is."""
    by = numeric.direction(variant.values, seed=5)
    try:
        elsewhere = variant.call(training, numeric.moved(variant.values, by, 0.1)).outputs
    except Failure:  # it takes no other inputs, as ids in floats
        return False
    return np.array_equal(leaf, variants.float_leaves(elsewhere, "outputs")[name])


def _judge_weights(variant) -> None:
    """Each weight is in the variable dtype of a layer that holds it.

    One that is not trainable may be in any dtype but a narrower one, as counters and sums are. What
    a layer of Keras' own inside makes, as Keras 2's Normalization does in half precision, is not
    the layer's.
    """
    dtypes, of_keras = {}, set()
    for part in _keras.sublayers(variant.layer):
        for variable in part.variables:
            dtypes.setdefault(id(variable), set()).add(part.variable_dtype)
        if part is not variant.layer and _keras.is_keras_own(type(part)):
            inner = {id(v) for p in _keras.sublayers(part)[1:] for v in p.variables}
            of_keras |= {id(variable) for variable in part.variables} - inner
    trainable = {id(variable) for variable in variant.layer.trainable_variables}
    state = _keras.state_variables(variant.layer)
    for name, variable in named(state, _keras.variable_name):
        dtype = tf.as_dtype(variable.dtype)
        wanted = dtypes.get(id(variable), set())
        narrow = dtype.size < tf.float32.size
        judged = dtype.is_floating and (narrow or id(variable) in trainable)
        if not judged or dtype.name in wanted or id(variable) in of_keras:
            continue
        raise Failure(
            f"`{name}` is {dtype.name} where the layer's variable dtype is {' or '.join(wanted)}",
            where=f"{variant.policy}: {name}",
            hint=_WEIGHT_HINT,
        )


def _judge_digits(subject, variant) -> None:
    """What comes out of a float64 layer was float64 all the way."""
    # The `dtype` is what an InputLayer hands on.
    parts = _keras.sublayers(variant.layer)
    if {dtype for part in parts for dtype in (part.compute_dtype, part.dtype)} != {"float64"}:
        variant.subject.tally.left_out["digits"] = "a layer in it has another dtype by intent"
        return
    for training in variants.trainings(subject):
        if subject.is_random(training):
            continue
        try:
            name = lost_digits.rounded_outputs(variant, training)
        except Failure as failure:  # as where inputs are ids in floats
            told = in_one_line(failure.__cause__ or failure, 100)
            subject.tally.left_out["digits"] = f"the layer takes no inputs near the case's ({told})"
            return
        if name and lost_digits.casts_down(variant, training):
            raise Failure(
                f"{name} of the float64 layer has fewer digits than float64: it is cast down "
                "inside, and up again",
                where=f"float64, training={training}: {name}",
                hint=_OUTPUT_HINT,
            )


def _judge_config(subject, made, variant, usual: Any) -> None:
    """The layer does the same with the policy as its own `dtype`, not the global one."""
    if len(_keras.sublayers(made.layer)) > 1:
        return  # layers in it that were given no dtype take the global one
    where = f"dtype={variant.policy!r} in the config"
    try:
        layer = reloading.from_config(made.layer, dtype=variant.policy)
        layer = subject.reference.restore(subject.reference.built(layer, variant.data))
    except Exception as error:
        if isinstance(error, Failure) and _DTYPES_CLASH.search(str(error.__cause__)):
            raise dtype_errors.explained(error.__cause__, variant.policy, where) from error
        subject.tally.left_out[where] = f"it cannot be rebuilt so ({in_one_line(error, 100)})"
        return
    if _keras.policy_name(layer) != variant.policy:
        subject.tally.left_out[where] = "the constructor does not pass `dtype` on"
        return
    _judge_dtypes(variants.Variant(subject, layer, variant.data), False, usual, where)


_DTYPES_CLASH = re.compile(
    r"tensor but is a|different dtypes|incompatible.*dtype|must have the same"
)
