"""One case while it is checked: what checks ask for, made once and shared."""

import contextlib
import functools
from collections.abc import Callable

import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity import fitting, models, modes, observation
from tfk_patterns.parity.base_subject import BaseSubject
from tfk_patterns.parity.case import LayerCase
from tfk_patterns.parity.data import Data, holds_strings
from tfk_patterns.parity.errors import MADE_IN_CALL, failure_of, makes_state
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.randomness import all_equal
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

    def call(
        self, layer, *, training: bool = False, data: Data | None = None, seed: int = 0
    ) -> observation.Call:
        """Calls a layer in eager mode, on the data of the case if no other are given."""
        with equal_circumstances(seed):
            return observation.call_once(
                layer, self.data if data is None else data, self.case.fixed_kwargs, training
            )

    @property
    def is_stateful(self) -> bool:
        """Whether the layer says that it keeps state for each place in the batch, as RNNs do."""
        parts = _keras.sublayers(self.reference.layer)
        return any(getattr(part, "stateful", False) is True for part in parts)

    @property
    def raw_outputs(self):
        """What the layer returns in eager mode, in inference, as it is; not to be changed."""
        return self.shared("raw_outputs", lambda: self.raw_call(self.layer()))

    def raw_call(self, layer, *, training: bool = False, data: Data | None = None):
        """What a layer returns in eager mode, as it is, for the data of the case or others."""
        with equal_circumstances():
            return observation.call_layer(
                layer, self.data if data is None else data, self.case.fixed_kwargs, training
            )

    def functional(self, layer):
        """A functional model that holds the layer only, and takes `data.tensors_of(...)`.

        Raises:
            Failure: The layer cannot be called on symbolic tensors.
            Skip: What the layer takes or returns cannot be in a functional model.
        """
        self.skip_if_not_symbolic()
        with equal_circumstances():
            return models.functional(layer, self.data, self.case.fixed_kwargs)

    def skip_if_not_symbolic(self) -> None:
        """Ends a check that needs a functional model, where what the layer returns allows none."""
        if self.is_stateful:
            raise Skip("it says `stateful=True`, and so needs a model of a known batch size")
        if not all(map(tf.is_tensor, tf.nest.flatten(self.raw_outputs))):
            raise Skip("an output that is no tensor cannot be in a functional model")

    # Observations in a mode

    def observe(self, mode: str, training: bool) -> observation.Observation:
        """Three calls in a mode; made once."""
        return self._in_mode(observation.observe, mode, training)

    def plain_outputs(self, mode: str, training: bool):
        """The outputs of a call in a mode of which no gradient is taken; made once."""
        return self._in_mode(observation.plain_outputs, mode, training)

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

    def why_not_repeated(self, training: bool) -> str | None:
        """Why two layers in the reference state differ in one mode, or `None` where they do not."""
        if self.shared(("repeats", training), lambda: self._repeats(training)):
            return None
        return "two layers made alike differ in eager mode: it draws where no seed reaches"

    def why_not_run(self, observer: Callable, mode: str, training: bool) -> str | None:
        """Why the layer cannot run in a mode, where that is not its fault.

        Args:
            observer: `self.observe` or `self.fit`.
            mode: The mode.
            training: The `training` argument of the call.
        """
        if observer == self.fit and _keras.runs_eagerly(self.reference.layer):
            return "it has `dynamic=True`: Keras 2 trains a model that holds it eagerly alone"
        if mode != "xla":
            return None
        if not _keras.supports_jit(self.reference.layer):
            return "the layer says `supports_jit = False`"
        if holds_strings(self.data):  # a second attempt aborts the process: tensorflow#120244
            return "XLA takes no strings"
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
                where = f"training={training}"
                if function is fitting.fit:  # `outputs` has found that calls run in the mode
                    raise _as_finding_of_fit(error, mode, where) from error
                raise _as_finding(error, mode, where) from error

        return self.shared((function.__name__, mode, training), run)

    def _finds_random(self, training: bool) -> bool:
        before, *after = self.observe("eager", training).python
        if any(state.generators != before.generators for state in after):
            return True
        with contextlib.suppress(Failure):  # what cannot be traced shows in eager calls alone
            if self.random_ops(training):
                return True
        return self.why_not_repeated(training) is not None

    def _repeats(self, training: bool) -> bool:
        """Whether a call is that of another layer, which the first observed one serves as."""
        observed = self.observe("eager", training).calls[0]
        first = self.call(self.layer(), training=training)
        first = [first.outputs, first.losses]
        if all_equal([first, [observed["outputs"], observed["losses"]]]):
            return True
        again = self.call(self.layer(), training=training)
        return all_equal([first, [again.outputs, again.losses]])


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
    if mode == "graph":
        hint = MADE_IN_CALL if makes_state(error) else _TRACEABLE
        return failure_of(error, "`call` cannot be traced", where, hint, check="eager_only")
    return failure_of(error, f"{mode} mode raised", f"{mode}, {where}", _TRACEABLE, "outputs")


def _as_finding_of_fit(error: Exception, mode: str, where: str) -> Exception:
    found = _as_finding(error, mode, where)
    if not isinstance(error, Failure | Skip) and isinstance(found, Failure):
        return failure_of(error, f"`fit` raised in {mode} mode", where)
    return found


_TRACEABLE = (
    "`call` must be traceable: tf ops on tensors, no `.numpy()`, no Python `if`, `for`, `min` or "
    "`max` on a tensor's value (tf.cond, tf.while_loop, tf.minimum and tf.maximum serve). "
    "`tfk_patterns.layers.autograph_call` gives `call` its `if` and `for` back, and a "
    "`tfk_patterns.layers.DynamicLayer` runs any Python."
)
