"""The layer of a case, perhaps under another dtype policy, called at any values it takes."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity import observation
from tfk_patterns.parity.arrays import values_by_name
from tfk_patterns.parity.comparison import named_leaves
from tfk_patterns.parity.data import Data
from tfk_patterns.parity.errors import in_one_line
from tfk_patterns.parity.numbers import dtype_errors
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.subject import Subject

Values = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Variant:
    """A built layer of the case; each call starts from the reference state.

    Args:
        subject: The subject.
        layer: The layer.
        data: What it is called on where nothing else is given.
        policy: The global dtype policy that it was made under, if not the one in force.
    """

    subject: Subject
    layer: Any
    data: Data
    policy: str | None = None

    @functools.cached_property
    def inputs(self) -> dict[str, np.ndarray]:
        """The dense float tensors among the inputs and keyword arguments, by name."""
        return {name: np.asarray(leaf) for name, leaf in _leaves(self.data) if _is_float(leaf)}

    @functools.cached_property
    def weights(self) -> dict[str, Any]:
        """The trainable float variables, by name."""
        variables = self.layer.trainable_variables
        names = values_by_name(variables)
        named = zip(names, variables, strict=True)
        return {name: v for name, v in named if tf.as_dtype(v.dtype).is_floating}

    @functools.cached_property
    def values(self) -> dict[str, np.ndarray]:
        """The float inputs, and the trainable weights in the reference state."""
        self.subject.reference.restore(self.layer)
        weights = values_by_name(self.layer.trainable_variables)
        return {**self.inputs, **{name: weights[name] for name in self.weights}}

    def call(self, training: bool, values: Values | None = None) -> observation.Call:
        """Calls the layer in eager mode, at other values of some inputs and weights."""
        with self._at(values or {}, training) as data:
            return self.subject.call(self.layer, training=training, data=data)

    def differentiated(self, training: bool, values: Values | None = None) -> dict[str, Any]:
        """What a call gives: `outputs`, `losses`, `gradients`, and `variables` after it.

        `gradients` holds that of `target` by each of `values`, `None` where none flows; it is
        empty where TensorFlow defines none for an operation that the layer uses.
        """
        with self._at(values or {}, training) as data, equal_circumstances():
            found = observation.differentiated_call(
                self.layer, data, self.subject.case.fixed_kwargs, training
            )
        by_inputs = zip(self.inputs, found["input_gradients"], strict=False)
        gradients = {**dict(by_inputs), **found["weight_gradients"]}
        return {
            "outputs": found["outputs"],
            "losses": found["losses"],
            "gradients": {name: gradients[name] for name in self.values if name in gradients},
            "variables": self.state(),
        }

    def target(self, training: bool, values: Values | None = None) -> float:
        """The scalar that `differentiated` differentiates."""
        return observation.target_of(self.call(training, values))

    def results(self, training: bool, values: Values | None = None) -> dict[str, Any]:
        """What a call gives: `outputs`, their `masks`, `losses`, and `variables` after it."""
        call = self.call(training, values)
        return {
            "outputs": call.outputs,
            "masks": call.masks,
            "losses": call.losses,
            "variables": self.state(),
        }

    def state(self) -> dict[str, np.ndarray]:
        """The float variables as the last call has left them, by name."""
        values = values_by_name(_keras.state_variables(self.layer))
        return {name: v for name, v in values.items() if tf.as_dtype(v.dtype).is_floating}

    @contextlib.contextmanager
    def _at(self, values: Values, training: bool) -> Iterator[Data]:
        """The data with some values replaced, while the layer has the weights among them."""
        with contextlib.ExitStack() as stack:
            if self.policy:
                stack.enter_context(_keras.global_policy(self.policy))
                stack.enter_context(dtype_errors.of_policy(self.policy, f"training={training}"))
            self.subject.reference.restore(self.layer)
            for name in values.keys() & self.weights.keys():
                self.weights[name].assign(values[name])
            yield _replaced(self.data, values)


def as_made(subject: Subject) -> Variant:
    """The layer as `make` returns it; the same one for all checks."""
    return subject.shared("as_made", lambda: Variant(subject, subject.layer(), subject.data))


def with_data(variant: Variant, data: Data) -> Variant:
    """The same layer, with other data to call it on."""
    return dataclasses.replace(variant, data=data)


def under_policy(subject: Subject, policy: str) -> Variant:
    """The layer made under a global dtype policy, and the data for it.

    Inputs in float32 stay so under a mixed policy, as in `fit`: Keras casts them. It does not cast
    all keyword arguments, which layers upstream give in the compute dtype.

    Args:
        subject: The subject.
        policy: Name of the policy.

    Raises:
        Failure: The layer cannot be built under it: a matter of `dtype_policy`.
        Skip: It has a dtype of its own, refuses the policy, or uses an operation that TensorFlow
            does not have in that dtype.
    """
    make = functools.partial(_under_policy, subject, policy)
    return subject.shared(("under_policy", policy), make)


def trainings(subject: Subject) -> tuple[bool, ...]:
    """The values of `training` to check: only `False` where it makes no difference.

    Raises:
        Failure: The layer cannot be called.
    """
    return subject.shared("trainings", lambda: _trainings(subject))


def all_leaves(structure: Any, name: str) -> dict[str, np.ndarray]:
    """The arrays in a structure of arrays and `None`s, by name."""
    return {name: leaf for name, leaf in named_leaves(structure, name) if leaf is not None}


def float_leaves(structure: Any, name: str) -> dict[str, np.ndarray]:
    """The float arrays in a structure of arrays and `None`s, by name."""
    leaves = all_leaves(structure, name).items()
    return {name: leaf for name, leaf in leaves if tf.as_dtype(leaf.dtype).is_floating}


def _under_policy(subject: Subject, policy: str) -> Variant:
    with _keras.global_policy(policy):
        try:
            layer = subject.reference.fresh()
        except Failure as failure:
            error = failure.__cause__
            if isinstance(error, ValueError | NotImplementedError):
                raise Skip(f"it cannot be made under {policy} ({in_one_line(error)})") from failure
            raise dtype_errors.explained(error, policy, "constructor") from error
        own = _keras.policy_name(layer)
        if own != policy:
            raise Skip(f"the case gives the layer a dtype of its own, {own}")
        parts = ("inputs", "kwargs") if policy == "float64" else ("kwargs",)
        data = {**subject.data, **{part: _cast(subject.data[part], layer) for part in parts}}
        try:
            subject.reference.built(layer, data)
        except Failure as failure:
            raise dtype_errors.explained(failure.__cause__, policy, "training=False") from failure
        return Variant(subject, subject.reference.restore(layer), data, policy)


def _trainings(subject: Subject) -> tuple[bool, ...]:
    inference, training = (subject.observe("eager", value) for value in (False, True))
    same = all(
        _same(one, other)
        for one, other in (
            (inference.calls, training.calls),
            (inference.variables, training.variables),
        )
    )
    return (False,) if same else (False, True)


def _same(one: Any, other: Any) -> bool:
    one, other = dict(named_leaves(one, "")), dict(named_leaves(other, ""))
    return one.keys() == other.keys() and all(
        np.array_equal(value, other[name], equal_nan=value is not None and value.dtype.kind in "fc")
        for name, value in one.items()
    )


def _replaced(data: Data, values: Values) -> Data:
    new = {id(leaf): tf.constant(values[n], leaf.dtype) for n, leaf in _leaves(data) if n in values}
    return tf.nest.map_structure(lambda leaf: new.get(id(leaf), leaf), data)


def _leaves(data: Data) -> list[tuple[str, Any]]:
    """Inputs and keyword arguments by name, in the order of `tf.nest.flatten`."""
    return [
        *named_leaves(data["inputs"], "inputs"),
        *named_leaves(data["kwargs"], "call_kwargs"),
    ]


def _is_float(leaf: Any) -> bool:
    return isinstance(leaf, tf.Tensor) and leaf.dtype.is_floating


def _cast(structure: Any, layer) -> Any:
    """The floats in a structure of tensors, ragged and sparse ones too, in a compute dtype."""

    def cast(leaf):
        is_float = leaf is not None and leaf.dtype.is_floating
        return tf.cast(leaf, layer.compute_dtype) if is_float else leaf

    return tf.nest.map_structure(cast, structure)
