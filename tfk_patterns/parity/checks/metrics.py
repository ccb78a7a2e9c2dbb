"""Metrics that the layer owns."""

from tfk_patterns.parity.across_modes import TRACE_TIME, pairs
from tfk_patterns.parity.check import define_check

_HINT = (
    "Give `update_state` a tensor computed in `call`: a Python number is read once, when the "
    "graph is traced, and an update under a Python condition is then made always or never. "
    "`tfk_patterns.layers.MetricTracking` updates metrics alike in every mode."
)


@define_check(
    follows=(*TRACE_TIME, "outputs"),
    link="https://www.tensorflow.org/guide/keras/writing_a_training_loop_from_scratch",
)
def metrics(subject):
    """The metrics, results and variables, are those of eager mode after three calls.

    Bug: A metric that is updated in eager mode only, or with a Python number, shows what it should
    in a call by hand. In `fit` it logs 0, or the number of the trace, in each epoch; training
    itself is right (https://www.tensorflow.org/guide/function#executing_python_side_effects).

    Broken::

        class Watched(keras.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.size = keras.metrics.Mean(name=f"{self.name}_size")

            def call(self, inputs):
                if tf.executing_eagerly():
                    self.size.update_state(tf.abs(inputs))
                return inputs


        case = LayerCase(Watched, steps)

    Mended::

        class Watched(keras.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.size = keras.metrics.Mean(name=f"{self.name}_size")

            def call(self, inputs):
                self.size.update_state(tf.abs(inputs))
                return inputs


        case = LayerCase(Watched, steps)
    """
    for pair in pairs(subject):
        subject.compare(pair.eager.metrics, pair.other.metrics, pair.label, "metrics", _HINT)
    subject.skip_if_nothing("the layer has no metrics")
