"""What no graph can hold."""

from tfk_patterns.parity.calls.first_call import state_after_first_call
from tfk_patterns.parity.check import define_check


@define_check(
    follows=("wrapped_call",),
    link="https://www.tensorflow.org/guide/function#limitations",
    fast=True,
)
def eager_only(subject):
    """The layer can be traced, built or not: it runs in `tf.function`, and so in `fit`.

    Bug: A call by hand works, and `fit`, `predict` and `export` raise: a tensor of a graph has no
    value yet that `.numpy()`, NumPy or, on Keras 3, a Python `if` could read. `run_eagerly=True`
    hides it, at the price of speed (https://github.com/tensorflow/tensorflow/issues/28779).

    Broken::

        class SortedSteps(keras.layers.Layer):
            def call(self, inputs):
                return tf.convert_to_tensor(np.sort(inputs.numpy(), axis=1))


        case = LayerCase(SortedSteps, steps)

    Mended::

        class SortedSteps(keras.layers.Layer):
            def call(self, inputs):
                return tf.sort(inputs, axis=1)


        case = LayerCase(SortedSteps, steps)
    """
    for training in (False, True):
        subject.observe("eager", training)  # what fails here is not the graph's matter
        subject.observe("graph", training)
    state_after_first_call(subject)
