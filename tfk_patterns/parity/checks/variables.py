"""Variables that calls write."""

from tfk_patterns.parity.across_modes import TRACE_TIME, pairs
from tfk_patterns.parity.check import define_check

_HINT = (
    "Compute the new value with tf ops from the old one and from tensors, as in "
    "`self.count.assign_add(1)`; a Python number in it is read once, when the graph is traced."
)


@define_check(
    follows=(*TRACE_TIME, "outputs"),
    link="https://www.tensorflow.org/guide/function#executing_python_side_effects",
)
def variables(subject):
    """Every variable is, after three calls, what it is in eager mode; metrics' left out.

    Bug: A Python condition on a state is not there in a graph, or is decided once. Moving
    statistics then start from 0 or are overwritten in each step, and inference, which reads them,
    is wrong though the training loss is right
    (https://www.tensorflow.org/guide/function#executing_python_side_effects).

    Broken::

        class Centred(keras.layers.Layer):
            def build(self, input_shape):
                self.mean = self.add_weight(
                    name="mean", shape=(), initializer="zeros", trainable=False
                )
                self.built = True

            def call(self, inputs, training=None):
                if not (training and self.trainable):
                    return inputs - self.mean
                mean = tf.reduce_mean(inputs)
                first = tf.executing_eagerly() and self.mean == 0.0
                self.mean.assign(mean if first else 0.9 * self.mean + 0.1 * mean)
                return inputs - mean


        case = LayerCase(Centred, steps)

    Mended::

        class Centred(keras.layers.Layer):
            def build(self, input_shape):
                self.mean = self.add_weight(
                    name="mean", shape=(), initializer="zeros", trainable=False
                )
                self.built = True

            def call(self, inputs, training=None):
                if not (training and self.trainable):
                    return inputs - self.mean
                mean = tf.reduce_mean(inputs)
                moved = tf.where(self.mean == 0.0, mean, 0.9 * self.mean + 0.1 * mean)
                self.mean.assign(tf.cast(moved, self.mean.dtype))
                return inputs - mean


        case = LayerCase(Centred, steps)
    """
    for pair in pairs(subject):
        subject.compare(pair.eager.variables, pair.other.variables, pair.label, "variables", _HINT)
    subject.skip_if_nothing("the layer has no variables")
