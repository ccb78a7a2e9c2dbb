"""Losses that the layer adds."""

from tfk_patterns.parity.across_modes import TRACE_TIME, calls
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.compared_losses import compare_losses

_HINT = (
    "A factor that changes with time, such as a warm-up, must be a weight of the layer, not a "
    "Python number; and `add_loss` belongs in `call`, outside any Python condition on state."
)


@define_check(
    follows=(*TRACE_TIME, "outputs"),
    link="https://www.tensorflow.org/guide/keras/making_new_layers_and_models_via_subclassing"
    "#the_add_loss_method",
)
def losses(subject):
    """The losses that three calls add are those of eager mode: each, or their sum at least.

    Bug: A graph cannot ask for a value, so on Keras 3 a Python `if` on a loss raises in `fit`. A
    guard against that error makes the penalty depend on the mode: always there, or never. The loss
    that is logged looks fine (https://keras.io/guides/migrating_to_keras_3/).

    Broken::

        class PenalizedWhereLarge(keras.layers.Layer):
            def call(self, inputs):
                size = tf.reduce_mean(tf.square(inputs))
                if not tf.executing_eagerly() or size > 4.0:
                    self.add_loss(size)
                return inputs


        case = LayerCase(PenalizedWhereLarge, steps)

    Mended::

        class PenalizedWhereLarge(keras.layers.Layer):
            def call(self, inputs):
                size = tf.reduce_mean(tf.square(inputs))
                self.add_loss(tf.where(size > 4.0, size, 0.0))
                return inputs


        case = LayerCase(PenalizedWhereLarge, steps)
    """
    for where, expected, actual in calls(subject):
        compare_losses(subject, expected["losses"], actual["losses"], where, _HINT)
    subject.skip_if_nothing("the layer adds no losses")
