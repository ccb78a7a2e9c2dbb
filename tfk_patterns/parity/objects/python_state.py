"""What a layer keeps in Python: plain values, tensors, functions, generators of random numbers."""

import collections
import dataclasses
import functools
import itertools
import operator
import types
import warnings
from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity import randomness
from tfk_patterns.parity.objects import captured
from tfk_patterns.parity.objects.captured import is_of_a_library, own_classes
from tfk_patterns.parity.objects.plain_values import MOST_ENTRIES, text_of

_MOST_THINGS = 20_000

_KERAS_OBJECTS = (
    keras.layers.Layer,
    keras.metrics.Metric,
    keras.losses.Loss,
    keras.initializers.Initializer,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
)


@dataclasses.dataclass
class PythonState:
    """What was found at one moment, each by its path, such as `self.blocks[0].calls`.

    Args:
        values: Plain values as text that tells any two apart.
        tensors: Paths that hold tensors, eager or symbolic.
        symbolic: Tensors of a graph.
        functions: What `tf.function` returned.
        generators: The states of Python's and NumPy's generators of random numbers, as text.
    """

    values: dict[str, str] = dataclasses.field(default_factory=dict)
    tensors: set[str] = dataclasses.field(default_factory=set)
    symbolic: dict[str, Any] = dataclasses.field(default_factory=dict)
    functions: dict[str, Any] = dataclasses.field(default_factory=dict)
    generators: dict[str, str] = dataclasses.field(default_factory=dict)


def python_state(layer) -> PythonState:
    """What Python code can reach from a layer.

    Attributes of it, of the layers in it and of objects that no library defines; containers; class
    attributes; the closures, default arguments and globals of methods and functions. Variables are
    left out, and what Keras itself keeps. No property is called.
    """
    walk = _Walk()
    walk.visit("self", layer)
    walk.run()
    for number, part in enumerate(_keras.sublayers(layer)):  # those in no attribute
        walk.visit(f"({type(part).__name__}, layer {number} in self)", part)
    walk.run()
    walk.found.generators |= randomness.global_states()
    return walk.found


class _Walk:
    """A search, the nearest things first, so that they get the shortest path."""

    def __init__(self):
        self.found = PythonState()
        self._seen: dict[int, Any] = {}  # kept alive, so that no two have one id
        self._waiting: collections.deque[tuple[str, Any]] = collections.deque()

    def visit(self, path: str, thing: Any) -> None:
        """Notes what has no parts; puts off what has."""
        if path in self.found.values or path in self.found.tensors:
            return
        text = text_of(thing)
        if text is not None:
            self.found.values[path] = text
        elif id(thing) not in self._seen and len(self._seen) < _MOST_THINGS:
            self._seen[id(thing)] = thing
            self._waiting.append((path, thing))

    def run(self) -> None:
        """Looks into what waits until nothing does."""
        while self._waiting:
            self._look_into(*self._waiting.popleft())

    def _look_into(self, path: str, thing: Any) -> None:
        if isinstance(thing, tf.Variable):
            return
        if isinstance(thing, tf.Tensor | tf.__internal__.CompositeTensor):
            self._tensor(path, thing)
        elif isinstance(thing, tf.TensorArray):
            self._tensor(path, thing.flow)
        elif isinstance(thing, randomness.GENERATORS):
            self.found.generators[path] = randomness.state_of(thing)
        elif isinstance(thing, dict):
            for key, value in list(thing.items())[:MOST_ENTRIES]:
                self.visit(f"{path}[{text_of(key) or type(key).__name__}]", value)
        elif isinstance(thing, list | tuple | collections.deque):
            for place, value in enumerate(itertools.islice(thing, MOST_ENTRIES)):
                self.visit(f"{path}[{place}]", value)
                if isinstance(value, tf.Tensor):
                    self.found.tensors.add(path)
        elif isinstance(thing, tf.types.experimental.GenericFunction):
            self.found.functions[path] = thing
            if hasattr(thing, "python_function"):
                self.visit(f"{path}.python_function", thing.python_function)
        elif isinstance(thing, types.FunctionType):
            self._function(path, thing)
        elif isinstance(thing, types.MethodType):
            self.visit(f"{path}.__self__", thing.__self__)
            self.visit(f"{path}.__func__", thing.__func__)
        elif isinstance(thing, functools.partial):
            self.visit(f"{path}.func", thing.func)
            self.visit(f"{path}.args", thing.args)
            self.visit(f"{path}.keywords", thing.keywords)
        elif isinstance(thing, types.GeneratorType):
            if thing.gi_frame is not None:
                self.found.values[path] = f"a generator, suspended at {thing.gi_frame.f_lasti}"
                self._all(path, dict(thing.gi_frame.f_locals))
        elif isinstance(thing, type):
            self._class(thing, None, path)
        elif own_classes(thing) or isinstance(thing, (*_KERAS_OBJECTS, types.SimpleNamespace)):
            self._object(path, thing)
        elif hasattr(thing, "__wrapped__"):  # as functools.lru_cache makes
            self.visit(f"{path}.__wrapped__", thing.__wrapped__)
        elif hasattr(thing, "__next__"):
            self._iterator(path, thing)

    def _tensor(self, path: str, thing: Any) -> None:
        self.found.tensors.add(path)
        for part in tf.nest.flatten(thing, expand_composites=True):
            if isinstance(part, tf.Tensor) and tf.is_symbolic_tensor(part):
                self.found.symbolic[path] = part

    def _iterator(self, path: str, thing: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer Pythons deprecate copies of some
            if isinstance(thing, itertools.count | itertools.repeat):
                self.found.values[path] = repr(thing)
            elif hasattr(thing, "__length_hint__"):
                self.found.values[path] = f"an iterator, {thing.__length_hint__()} left"
            elif isinstance(thing, itertools.cycle):
                _, (rest,), (seen, _) = thing.__reduce__()
                left = operator.length_hint(rest, 0)
                self.found.values[path] = f"a cycle, {left} left in the round, seen {text_of(seen)}"

    def _object(self, path: str, thing: Any) -> None:
        internal = _keras.bookkeeping(type(thing))
        attributes = getattr(thing, "__dict__", {})
        self._all(path, {k: v for k, v in list(attributes.items()) if k not in internal})
        for cls in own_classes(thing):
            slots = vars(cls).get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if not name.startswith("__") and hasattr(thing, name):
                    self.visit(f"{path}.{name}", getattr(thing, name))
            self._class(cls, thing, path)

    def _class(self, cls: type, instance: Any, path: str) -> None:
        if is_of_a_library(cls):
            return
        for name, value in list(vars(cls).items()):
            if isinstance(value, tf.types.experimental.GenericFunction) and instance is not None:
                # Each instance traces a function of its own.
                self.visit(f"{path}.{name}", getattr(instance, name))
            function = captured.function_in(value)
            if function is not None:
                self.visit(f"{cls.__name__}.{name}", function)
            elif not name.startswith("__") and name != "_abc_impl":
                self.visit(f"{cls.__name__}.{name}", value)

    def _function(self, path: str, function: types.FunctionType) -> None:
        if is_of_a_library(function):
            if hasattr(function, "__wrapped__"):  # a library's wrapper around one of the user's
                self.visit(path, function.__wrapped__)
            return
        for name, value, _ in captured.things_of(function):
            self.visit(name, value)
        self._all(path, vars(function))

    def _all(self, path: str, attributes: dict[str, Any]) -> None:
        for name, value in attributes.items():
            self.visit(f"{path}.{name}", value)
