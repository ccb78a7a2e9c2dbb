"""How long losses last, and where they get lost."""

import numpy as np

from tfk_patterns import _keras
from tfk_patterns.parity.calls.added_losses import (
    is_eager,
    number,
    recording_added_losses,
    require_all_listed,
    require_once,
)
from tfk_patterns.parity.calls.holders import HoldingModel, halved, nested
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.data import tensors_of
from tfk_patterns.parity.errors import blamed
from tfk_patterns.parity.observation import call_layer
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.saving import reloading

_EVERY_CALL = (
    "`add_loss` belongs in `call`, in every call: no flag for the first one, no `if not "
    "self.losses`, no list of earlier losses that is added again."
)
_STALE = "The loss is kept from an earlier call: compute it from this call's tensors."
_IN_A_MODEL = "A loss must not depend on how the layer is called, or on what holds it."
_RELOADED = (
    "What makes the loss (a rate, `activity_regularizer`) must be in `get_config`, or be made in "
    "`__init__` from what is."
)


@define_check(
    follows=(
        "outputs",
        "losses",
        "eager_only",
        "symbolic_shape",
        "wrapped_call",
        "python_state",
        "leaked_tensors",
        "config",
    ),
    link="https://www.tensorflow.org/guide/keras/making_new_layers_and_models_via_subclassing"
    "#the_add_loss_method",
)
def loss_lifetime(subject):
    """A call's losses are its own, in number and value, and none is lost in a model that holds it.

    In a functional model, in one within another, in a subclassed model, and after a reload.

    Bug: A loss that is added in `build`, or in the first call only, is cleared by the next call:
    the model trains without the penalty. The loss in the log is only a bit smaller than it should
    be (https://github.com/yaringal/ConcreteDropout/issues/13).

    Broken::

        class Scaled(keras.layers.Layer):
            def build(self, input_shape):
                self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
                self.add_loss(0.1 * tf.square(tf.convert_to_tensor(self.scale)))
                self.built = True

            def call(self, inputs):
                return inputs * self.scale


        case = LayerCase(Scaled, steps)

    Mended::

        class Scaled(keras.layers.Layer):
            def build(self, input_shape):
                self.scale = self.add_weight(
                    name="scale",
                    shape=(),
                    initializer="ones",
                    regularizer=keras.regularizers.L2(0.1),
                )
                self.built = True

            def call(self, inputs):
                return inputs * self.scale


        case = LayerCase(Scaled, steps)
    """
    layer = subject.reference.fresh()
    with recording_added_losses() as added:
        subject.reference.built(layer, halved(subject.data))
    require_all_listed(layer, added, "the first call, eager")
    first = [number(loss) for loss in layer.losses]
    any_losses = bool(added or first)
    for training in (False, True):
        where = f"eager, training={training}"
        subject.reference.restore(layer)
        with recording_added_losses() as added:
            own = _values(subject, layer, training)
        require_all_listed(layer, added, where)
        require_once(layer, added, where)
        if not training:
            _require_number(first, own, f"the second call, {where}", _EVERY_CALL, "the first")
        if not own.size and not any_losses:
            continue
        any_losses = True
        reference = subject.layer()
        expected = _values(subject, reference, training)
        again = _values(subject, subject.reference.restore(reference), training)
        _require_number(expected, again, f"a second call, {where}", _EVERY_CALL)
        comparable = np.array_equal(expected, again, equal_nan=True)
        if not comparable:
            subject.tally.left_out[f"training={training}"] = "the values of random losses"
        _compare(subject, expected, own, comparable, f"{where}, called before", _STALE)
        if comparable:
            _check_not_accumulated(subject, training, expected)
        _check_models(subject, training, expected, comparable)
        _check_called_twice(subject, training, expected, comparable)
        _check_reloaded(subject, training, expected, comparable)
    if not any_losses:
        raise Skip("the layer adds no losses")


def _check_not_accumulated(subject, training, expected):
    """The loss of a second call, on other data, is not the sum of both calls' own."""
    smaller = halved(subject.data)
    layer = subject.layer()
    alone = np.sort(
        [number(x) for x in subject.call(layer, training=training, data=smaller).losses]
    )
    subject.reference.restore(layer)
    subject.call(layer, training=training)
    after = np.sort(
        [number(x) for x in subject.call(layer, training=training, data=smaller).losses]
    )
    if not alone.shape == after.shape == expected.shape:
        return
    for one, other, total in zip(expected, alone, after, strict=True):
        if not np.isfinite(total):  # the matter of `finite_values`
            continue
        if np.isclose(total, one + other, rtol=1e-5) and not np.isclose(one, 0.0):
            raise Failure(
                f"the loss of a second call is {total:.7g}, the sum of what both calls have alone: "
                f"{one:.7g} and {other:.7g}",
                f"eager, training={training}",
                "Add this call's loss only: what is kept in a variable from call to call must not "
                "be part of what `add_loss` is given.",
            )


def _check_models(subject, training, expected, comparable):
    layer = subject.layer()
    tensors = tensors_of(subject.data)
    try:
        functional = subject.functional(layer)
        held = {
            "a functional model": functional,
            "a functional model in another": nested(functional, subject.data),
        }
    except Skip as skip:
        held = {}
        subject.tally.left_out[f"a functional model, training={training}"] = skip.reason
    held["a subclassed model"] = HoldingModel(layer, subject.data, subject.case.fixed_kwargs)
    for name, model in held.items():
        where = f"{name}, training={training}"
        subject.reference.restore(layer)
        found = _losses_of_model(model, tensors, training, where)
        _compare(subject, expected, found, comparable, where, _IN_A_MODEL)


def _check_called_twice(subject, training, expected, comparable):
    """A layer that a model calls twice adds its losses twice, where they depend on the data."""
    layer = subject.layer()
    call = subject.call(layer, training=training, data=halved(subject.data))
    other = np.sort([number(loss) for loss in call.losses])
    if not comparable or np.array_equal(expected, other):
        return
    subject.reference.restore(layer)
    with recording_added_losses() as added:
        subject.call(layer, training=training)
    weights = len(expected) - len(added)  # losses of weights count once
    model = HoldingModel(layer, subject.data, subject.case.fixed_kwargs, times=2)
    where = f"a model that calls the layer twice, training={training}"
    found = _losses_of_model(model, tensors_of(subject.data), training, where)
    wanted = 2 * len(added) + weights
    if len(found) != wanted:
        raise Failure(
            f"the number of losses is {len(found)} instead of {wanted}", where, _EVERY_CALL
        )


def _check_reloaded(subject, training, expected, comparable):
    where = f"rebuilt from its config, training={training}"
    original = subject.layer()
    with blamed("the layer cannot be made from its config", where, check="config"):
        layer = subject.reference.built(reloading.from_config(original))
    shapes = [
        [tuple(variable.shape) for variable in _keras.state_variables(one)]
        for one in (original, layer)
    ]
    if shapes[0] != shapes[1]:
        raise Failure("the layer made from the config has other weights", where, check="config")
    found = _values(subject, subject.reference.restore(layer), training)
    _compare(subject, expected, found, comparable, where, _RELOADED)


def _values(subject, layer, training) -> np.ndarray:
    """The layer's losses after a call, sorted: their order depends on what holds the layer."""
    with equal_circumstances():
        call_layer(layer, subject.data, subject.case.fixed_kwargs, training)
    return np.sort([number(loss) for loss in layer.losses])


def _losses_of_model(model, tensors, training, where) -> np.ndarray:
    with blamed("the model cannot be called", where, check="outputs"), equal_circumstances():
        model(tensors, training=training)
    # Keras 2 lists the symbolic loss of a functional model where the call has added none.
    return np.sort([number(loss) for loss in model.losses if is_eager(loss)])


def _compare(subject, expected, found, comparable, where, hint):
    _require_number(expected, found, where, hint)
    if comparable:
        subject.compare(expected, found, where, "losses", hint, source="a call by itself")


def _require_number(expected, found, where, hint, source="a call by itself"):
    if len(found) != len(expected):
        text = f"the number of losses is {len(found)} where {source} leaves {len(expected)}"
        raise Failure(text, where, hint)
