"""Tensors of a graph that outlive its trace."""

from tfk_patterns.parity.calls.first_call import state_after_first_call
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.objects.python_state import PythonState
from tfk_patterns.parity.outcome import Failure

_HINT = (
    "A tensor made while a graph is traced is of no use outside of it: return it, write it to a "
    "weight with `assign`, or keep a NumPy array in its place."
)
_HINT_FIRST_CALL = (
    "In `fit` the first call may be traced, and what it makes and keeps is a tensor of that graph; "
    "on Keras 3 so is what `build` makes then. Keep a NumPy array or a weight in the place of a "
    "tensor, or make the tensor under `with tf.init_scope():`."
)


@define_check(
    follows=("eager_only", "wrapped_call"),
    link="https://www.tensorflow.org/guide/function#all_outputs_of_a_tffunction_must_be_return_values",
    fast=True,
)
def leaked_tensors(subject):
    """No symbolic tensor is left on the layer, or on what it holds, when a graph is traced.

    Bug: What `call` keeps of a graph, such as attention weights to plot, holds no values after
    `fit`. Whoever reads it gets an error about a tensor that is out of scope, often far away from
    the line that kept it. Keras' own RNN cells had this
    (https://github.com/tensorflow/tensorflow/issues/33991).

    Broken::

        class StepWeights(keras.layers.Layer):
            def call(self, inputs):
                self.scores = tf.nn.softmax(inputs, axis=1)
                return inputs * self.scores


        case = LayerCase(StepWeights, steps)

    Mended::

        class StepWeights(keras.layers.Layer):
            def call(self, inputs):
                scores = tf.nn.softmax(inputs, axis=1)
                return inputs * scores, scores


        case = LayerCase(StepWeights, steps)
    """
    for training in (False, True):
        subject.observe("eager", training)
        kept = subject.observe("graph", training).python[-1]
        _check(kept, f"three calls of the graph, training={training}", _HINT)
    _check(state_after_first_call(subject), "a first call that is traced", _HINT_FIRST_CALL)


def _check(kept: PythonState, when: str, hint: str) -> None:
    for path, tensor in kept.symbolic.items():
        raise Failure(
            f"`{path}` holds a tensor of a graph, {tensor.name!r} of shape {tensor.shape}, after "
            f"{when}",
            where=when,
            hint=hint,
        )
