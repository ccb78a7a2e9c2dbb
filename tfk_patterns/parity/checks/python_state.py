"""State that the layer keeps in Python."""

import re

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import shown_apart
from tfk_patterns.parity.outcome import Failure

_HINT = (
    "Python code in `call` runs when the graph is traced, and not in each of its steps: keep what "
    "changes from call to call in a weight, as in `self.{name} = self.add_weight(name='{name}', "
    "shape=(), initializer='zeros', trainable=False)` and `self.{name}.assign_add(1.0)`."
)
_ABSENT = "not there"
_COUNTED = ("one eager call", "two eager calls", "three eager calls")
_COUNTED_IN_GRAPH = ("one call", "two calls", "three calls")


@define_check(
    follows=("eager_only", "wrapped_call", "frozen_randomness", "retracing"),
    link="https://www.tensorflow.org/guide/function#executing_python_side_effects",
    fast=True,
)
def python_state(subject):
    """What the layer keeps in Python is the same after calls of the graph as after eager calls.

    An attribute of it, of a layer or object in it, of its class, a global variable. Tensors are
    `leaked_tensors`' matter.

    Bug: A counter in Python is counted when `call` is traced, once or twice in a training of any
    length, and what it should warm up, anneal or do every so many steps stays where it was then:
    nothing is said (https://github.com/tensorflow/tensorflow/issues/55478).

    Broken::

        class Annealed(keras.layers.Layer):
            calls = 0

            def call(self, inputs):
                self.calls += 1
                return inputs / self.calls


        case = LayerCase(Annealed, steps)

    Mended::

        class Annealed(keras.layers.Layer):
            def build(self, input_shape):
                self.calls = self.add_weight(
                    name="calls", shape=(), initializer="zeros", trainable=False
                )
                self.built = True

            def call(self, inputs, training=None):
                if training and self.trainable:
                    self.calls.assign_add(1.0)
                return inputs / tf.maximum(tf.cast(self.calls, inputs.dtype), 1.0)


        case = LayerCase(Annealed, steps)
    """
    for training in (False, True):
        eager = subject.observe("eager", training).python
        graph = subject.observe("graph", training).python
        for path in dict.fromkeys([*eager[-1].values, *graph[-1].values]):
            if any(path in state.tensors for state in (*eager, *graph)):
                continue
            in_eager = [state.values.get(path) for state in eager]
            in_graph = [state.values.get(path) for state in graph]
            if len(set(in_eager)) == len(set(in_graph)) == 1:
                continue  # no call of this kind changes it
            _compare(path, in_eager[1:], in_graph[1:], training)


def _compare(path, in_eager, in_graph, training):
    """Fails for the last call after which they differ, or for none."""
    own = re.fullmatch(r"self\.(\w+)", path)
    for number in reversed(range(len(in_eager))):
        if in_eager[number] != in_graph[number]:
            eager, graph = shown_apart(in_eager[number] or _ABSENT, in_graph[number] or _ABSENT)
            raise Failure(
                f"`{path}` is {eager} after {_COUNTED[number]} and {graph} after "
                f"{_COUNTED_IN_GRAPH[number]} of the graph",
                where=f"training={training}",
                hint=_HINT.format(name=own.group(1) if own else "calls"),
            )
