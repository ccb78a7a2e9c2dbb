"""Chance in inference."""

import numpy as np

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.comparison import named_leaves
from tfk_patterns.parity.observation import call_once
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.state import stateful_layers

_CALLS = 3
_HINT = (
    "Draw only where `training` is true, and pass `training` on to what draws. A layer that is "
    "meant to be random in inference, as Monte Carlo dropout is, says so in the case's "
    "`expected_failures`."
)


@define_check(
    follows=("outputs", "python_state"),
    link="https://keras.io/guides/making_new_layers_and_models_via_subclassing/"
    "#privileged-training-argument-in-the-call-method",
    fast=True,
)
def random_inference(subject):
    """Calls in inference on the same data give the same outputs and losses.

    A layer that draws by intent, as for Monte Carlo dropout, says so in `expected_failures`.

    Bug: Noise or dropout that does not ask for `training` stays on in `predict` and in the exported
    model: the same input gives another answer each time, and a worse one. Training looks right, and
    the validation loss is only somewhat high (https://github.com/deepchem/deepchem/issues/291).

    Broken::

        class Noise(keras.layers.Layer):
            def call(self, inputs):
                return inputs + tf.random.normal(tf.shape(inputs), stddev=0.1, dtype=inputs.dtype)


        case = LayerCase(Noise, steps)

    Mended::

        class Noise(keras.layers.Layer):
            def call(self, inputs, training=None):
                if not training:
                    return inputs
                return inputs + tf.random.normal(tf.shape(inputs), stddev=0.1, dtype=inputs.dtype)


        case = LayerCase(Noise, steps)
    """
    layer = subject.layer()
    with equal_circumstances():  # once for all calls: NumPy's draws, too, must go on
        calls = [
            call_once(layer, subject.data, subject.case.fixed_kwargs, False) for _ in range(_CALLS)
        ]
    wanted = _leaves(calls[0])
    for number, call in enumerate(calls[1:], start=2):
        found = _leaves(call)
        for name in (name for name in wanted if name in found):
            if _equal(wanted[name], found[name]):
                continue
            if stateful_layers(layer):  # whose state Keras hides: no two calls can be made alike
                raise Skip("the layer says `stateful=True`")
            if not subject.is_random(False):
                raise Skip("the calls differ by state that they leave behind, not by chance")
            raise Failure(
                f"{name} of call {number} differs from that of call 1 on the same data"
                f"{_largest(wanted[name], found[name])}",
                "eager, training=False",
                _HINT,
            )


def _leaves(call) -> dict:
    return {
        **dict(named_leaves(call.outputs, "outputs")),
        **dict(named_leaves(call.losses, "losses")),
    }


def _equal(one, other) -> bool:
    if one is None or other is None or one.shape != other.shape:
        return one is other
    return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")


def _largest(one, other) -> str:
    """Both values where they differ most."""
    if one is None or other is None or one.shape != other.shape or one.dtype.kind not in "biuf":
        return ""
    place = np.argmax(np.abs(one.astype(np.float64) - other.astype(np.float64)))
    index = [int(i) for i in np.unravel_index(place, one.shape)]
    where = f" at {index}" if index else ""
    return f": {other.flat[place]:.6g} and {one.flat[place]:.6g}{where}"
