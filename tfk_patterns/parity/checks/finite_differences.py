"""Gradients that are not those of what the layer computes."""

import numpy as np

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.comparison import Difference
from tfk_patterns.parity.errors import in_one_line
from tfk_patterns.parity.numbers import numeric_gradient as numeric
from tfk_patterns.parity.numbers import variants
from tfk_patterns.parity.numbers.gradient_ops import gradient_ops
from tfk_patterns.parity.outcome import Failure, Skip

_SEEDS = (0, 1)
_UNDECIDED = (
    "differences of several sizes disagree, or a gradient is not finite: a kink, a step, or too "
    "much rounding"
)


@define_check(
    follows=("outputs", "eager_only", "python_state", "weights_learn"),
    link="https://www.tensorflow.org/api_docs/python/tf/custom_gradient",
)
def finite_differences(subject):
    """The gradients by all float inputs and weights are those that differences show.

    Directional derivatives of the weighted outputs and the losses, in float64 where it can be.

    Bug: A function under tf.custom_gradient that forgets the upstream gradient, or has the wrong
    formula, still trains, to something worse. A test by the gradient of a plain sum does not see
    it: there the upstream gradient is 1 (https://github.com/tensorflow/tensorflow/pull/49488, where
    a reviewer caught it in an example).

    Broken::

        @tf.custom_gradient
        def swish(x):
            gate = tf.sigmoid(x)
            return x * gate, lambda upstream: gate * (1.0 + x * (1.0 - gate))


        class Swish(keras.layers.Layer):
            def call(self, inputs):
                return swish(inputs)


        case = LayerCase(Swish, steps)

    Mended::

        @tf.custom_gradient
        def swish(x):
            gate = tf.sigmoid(x)
            return x * gate, lambda upstream: upstream * gate * (1.0 + x * (1.0 - gate))


        class Swish(keras.layers.Layer):
            def call(self, inputs):
                return swish(inputs)


        case = LayerCase(Swish, steps)
    """
    variant = _exact_variant(subject)
    if not variant.values:
        raise Skip("no input is a float, and the layer has no trainable weights")
    for training in variants.trainings(subject):
        label = f"training={training}"
        target = variant.target(training)
        if not np.isfinite(target):
            subject.tally.left_out[label] = "outputs or losses are not finite"
            continue
        if variant.target(training) != target:
            subject.tally.left_out[label] = "calls do not repeat from equal state"
            continue
        try:
            decided = _compare_anywhere(subject, variant, training, variant.values)
        except _Refused as refused:
            subject.tally.left_out[f"inputs, {label}"] = str(refused)
            weights = {n: v for n, v in variant.values.items() if n not in variant.inputs}
            decided = not weights or _compare_anywhere(subject, variant, training, weights)
        if not decided:
            subject.tally.left_out[label] = _UNDECIDED
    subject.skip_if_nothing("; ".join(dict.fromkeys(subject.tally.left_out.values())))


def _exact_variant(subject) -> variants.Variant:
    """The layer in float64, or as it is where it does not run in that."""
    try:
        return variants.under_policy(subject, "float64")
    except (Failure, Skip):  # other checks say why
        if subject.compute_dtype not in ("float32", "float64"):
            raise Skip(f"the layer computes in {subject.compute_dtype}") from None
        return variants.as_made(subject)


class _Refused(Exception):
    """The layer takes the inputs of the case, and raises an error for others near them."""


def _compare_anywhere(subject, variant, training: bool, values: variants.Values) -> bool:
    """Compares at values, or a little beside where they are on kinks."""
    if _compare(subject, variant, training, values):
        return True
    inputs = {name: value for name, value in values.items() if name in variant.inputs}
    moved = {**values, **numeric.off_kinks(inputs)}
    return bool(inputs) and _compare(subject, variant, training, moved)


def _target_near(variant, training: bool, values: variants.Values) -> float:
    try:
        return variant.target(training, values)
    except Exception as error:  # as for ids in floats, of which there are only so many
        told = in_one_line(error.__cause__ or error, 120)
        raise _Refused(f"the layer refuses other inputs near them ({told})") from error


def _compare(subject, variant, training: bool, values: variants.Values) -> bool:
    """Compares in some directions; returns whether anything could be.

    Raises:
        Failure: A gradient is wrong, and not by intent.
        Skip: There is no gradient.
        _Refused: The layer takes no inputs but those of the case.
    """
    middle = _target_near(variant, training, values)
    observed = variant.differentiated(training, values)
    gradients = observed["gradients"]
    if not variants.float_leaves([observed["outputs"], observed["losses"]], ""):
        raise Skip("no output is a float, and there are no losses")
    if not gradients:
        raise Skip("TensorFlow defines no gradient of an operation that the layer uses")
    if not all(g is None or np.isfinite(g).all() for g in gradients.values()):
        return False
    decided = 0
    for seed in _SEEDS:
        directions = numeric.direction(values, seed)
        slopes = {name: _slope(gradients[name], by) for name, by in directions.items()}
        # All slopes point up, so that none cancels another.
        directions = {n: by if slopes[n] >= 0 else -by for n, by in directions.items()}
        slopes = {name: abs(slope) for name, slope in slopes.items()}

        def differences(names, directions=directions, slopes=slopes):
            def function(step):
                some = {name: directions[name] for name in names}
                at = {**values, **numeric.moved(values, some, step)}
                return _target_near(variant, training, at)

            return numeric.derivative(function, middle, sum(slopes[name] for name in names))

        found = differences(directions)
        if found is None:
            continue
        decided += 1
        error = abs(found.value - sum(slopes.values()))
        if error <= found.uncertainty:
            relative = error / abs(found.value) if error else 0.0
            subject.tally.add(Difference(None, error, relative))
            continue
        for name in directions:
            _judge(subject, training, name, slopes[name], differences([name]))
    return bool(decided)


def _judge(subject, training: bool, name: str, slope: float, found) -> None:
    """Judges the gradient by one input or weight, where that by all of them is wrong."""
    if found is None:
        return
    error = abs(found.value - slope)
    size = max(abs(found.value), slope)
    # Where it does not move at all, as under rounding, a gradient is one by intent.
    if error <= found.uncertainty + 1e-3 * size or abs(found.value) <= 1e-8 * slope:
        return
    ops = gradient_ops(subject, training)
    lost = slope <= 1e-3 * abs(found.value)
    if ops.meant or not (ops.custom or (ops.python and lost)):
        reason = ops.meant or "TensorFlow has another gradient, or none, for what it computes"
        subject.tally.left_out[f"{name}, training={training}"] = reason
        return
    in_python = ops.python and lost
    raise Failure(
        f"the gradient by {name} is {slope:.6g} where differences show {found.value:.6g}, in a "
        "random direction",
        where=f"eager, training={training}: {name}",
        hint=_LOST_HINT if in_python else f"{_CUSTOM_HINT} See {ops.custom[0]}",
        max_abs_error=error,
        max_rel_error=error / size,
    )


_CUSTOM_HINT = (
    "A function under tf.custom_gradient must return the upstream gradient times its own "
    "derivative, and one gradient for each argument."
)
_LOST_HINT = (
    "A gradient ends at tf.numpy_function, and at variables that a tf.py_function captures: use "
    "tf ops, pass the variables in `inp`, or give the function a tf.custom_gradient."
)


def _slope(gradient: np.ndarray | None, by: np.ndarray) -> float:
    return 0.0 if gradient is None else float(np.sum(gradient.astype("float64") * by))
