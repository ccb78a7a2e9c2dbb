"""One case while it is checked: what checks ask for, made once and shared."""

import contextlib
import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity import fitting, models, modes, observation
from tfk_patterns.parity.base_subject import BaseSubject
from tfk_patterns.parity.case import LayerCase
from tfk_patterns.parity.data import Data
from tfk_patterns.parity.errors import failure_of
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.reference import Reference, equal_circumstances


class Subject(BaseSubject):
    """What a check of a layer is called with.

    Args:
        case: The case to check.

    Raises:
        TypeError: `case.make` returns something that is no layer of this Keras generation.
    """

    def __init__(self, case: LayerCase):
        super().__init__(case)
        self.reference = Reference(case)

    @property
    def data(self) -> Data:
        """The data of the case: `{"inputs", "mask", "kwargs"}` as tensors."""
        return self.reference.data

    @functools.cached_property
    def compute_dtype(self) -> str:
        """The dtype that the layer computes in."""
        return tf.as_dtype(self.reference.layer.compute_dtype or "float32").name

    # Layers, and calls of them

    def layer(self):
        """A fresh layer, built, in the reference state."""
        return self.reference.make()

    def call(self, layer, *, training: bool = False, data: Data | None = None) -> observation.Call:
        """Calls a layer in eager mode, on the data of the case if no other are given."""
        with equal_circumstances():
            return observation.call_once(
                layer, self.data if data is None else data, self.case.fixed_kwargs, training
            )

    def functional(self, layer):
        """A functional model that holds the layer only, and takes `data.tensors_of(...)`.

        Raises:
            Failure: The layer cannot be called on symbolic tensors.
            Skip: What the layer takes or returns cannot be in a functional model.
        """
        with equal_circumstances():
            return models.functional(layer, self.data, self.case.fixed_kwargs)

    # Observations in a mode

    def observe(self, mode: str, training: bool) -> observation.Observation:
        """Three calls in a mode; made once."""
        return self._in_mode(observation.observe, mode, training)

    def fit(self, mode: str, training: bool) -> fitting.FitObservation:
        """Four steps of `fit` in a mode; made once."""
        return self._in_mode(fitting.fit, mode, training)

    def random_ops(self, training: bool) -> modes.RandomOps:
        """The random operations in the trace of the layer.

        Raises:
            Failure: The layer cannot be traced.
        """
        return self.observe("graph", training).random_ops

    def is_random(self, training: bool) -> bool:
        """Whether two calls differ by chance: not for the state that the first has left."""
        return self.shared(("is_random", training), lambda: self._finds_random(training))

    def why_not_run(self, observer: Callable, mode: str, training: bool) -> str | None:
        """Why the layer cannot run in a mode, where that is not its fault.

        Args:
            observer: `self.observe` or `self.fit`.
            mode: The mode.
            training: The `training` argument of the call.
        """
        if mode != "xla":
            return None
        if not _keras.supports_jit(self.reference.layer):
            return "the layer says `supports_jit = False`"
        try:
            observer(mode, training)
        except modes.CannotCompile as error:
            return str(error)
        return None

    def _in_mode(self, function: Callable, mode: str, training: bool):
        def run():
            layer = self.layer()
            try:
                with equal_circumstances():
                    return function(layer, self.data, self.case.fixed_kwargs, mode, training)
            except Exception as error:
                raise _as_finding(error, mode, f"training={training}") from error

        return self.shared((function.__name__, mode, training), run)

    def _finds_random(self, training: bool) -> bool:
        layer = self.layer()
        first = self.call(layer, training=training)
        with contextlib.suppress(Failure):  # what cannot be traced shows in eager calls alone
            if self.random_ops(training):
                return True
        again = self.call(self.layer(), training=training)
        same = tf.nest.map_structure(_equal, first.outputs, again.outputs)
        return not all(tf.nest.flatten(same))


def _as_finding(error: Exception, mode: str, where: str) -> Exception:
    if isinstance(error, Failure | Skip):
        return error
    if isinstance(error, LookupError) and "gradient registry has no entry" in str(error):
        operation = str(error).split()[-1]
        return Skip(f"TensorFlow defines no gradient of {operation}, which the layer uses")
    reason = modes.why_not_compiled(error) if mode == "xla" else None
    if reason:
        return modes.CannotCompile(reason)
    if mode == "eager":
        return failure_of(error, "eager mode raised", f"eager, {where}", check="outputs")
    check = "eager_only" if mode == "graph" else "outputs"
    return failure_of(error, f"{mode} mode raised", f"{mode}, {where}", _TRACEABLE, check)


_TRACEABLE = (
    "`call` must be traceable: tf ops on tensors, no `.numpy()`, no Python `if` or `for` on a "
    "tensor's value (tf.cond and tf.while_loop serve)."
)


def _equal(one, other) -> bool:
    return np.array_equal(one, other, equal_nan=np.asarray(one).dtype.kind in "fc")
