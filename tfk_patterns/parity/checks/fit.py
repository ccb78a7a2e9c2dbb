"""Training with `fit`."""

from tfk_patterns.parity.across_modes import TRACE_TIME, fit_pairs
from tfk_patterns.parity.check import define_check

_HINT = (
    "Python state that changes from step to step is frozen in the compiled step: keep it in a "
    "weight (add_weight with trainable=False)."
)


@define_check(
    follows=(*TRACE_TIME, "outputs", "losses", "metrics", "variables", "gradients", "loss_scale"),
    link="https://www.tensorflow.org/guide/function#executing_python_side_effects",
)
def fit(subject):
    """Four steps of `fit` are those of `run_eagerly=True`: losses, weights, state, iterations.

    Bug: `fit` traces the step once, so a rate that Python code raises from step to step is in the
    graph a constant, the first one. The annealed penalty of a variational autoencoder is then never
    more than it was at the start, and the training seems fine
    (https://github.com/keras-team/keras/issues/13826).

    Broken::

        class AnnealedPenalty(keras.layers.Layer):
            rate = 0.0

            def call(self, inputs, training=None):
                if training:
                    self.rate += 0.1
                self.add_loss(self.rate * tf.reduce_mean(tf.square(inputs)))
                return inputs


        case = LayerCase(AnnealedPenalty, steps)

    Mended::

        class AnnealedPenalty(keras.layers.Layer):
            def build(self, input_shape):
                self.rate = self.add_weight(
                    name="rate", shape=(), initializer="zeros", trainable=False
                )
                self.built = True

            def call(self, inputs, training=None):
                if training and self.trainable:
                    self.rate.assign_add(0.1)
                rate = tf.cast(self.rate, inputs.dtype)
                self.add_loss(rate * tf.reduce_mean(tf.square(inputs)))
                return inputs


        case = LayerCase(AnnealedPenalty, steps)
    """
    for pair in fit_pairs(subject):
        for what in ("step_losses", "history", "variables", "iterations"):
            expected, actual = getattr(pair.eager, what), getattr(pair.other, what)
            subject.compare(expected, actual, pair.label, what, _HINT)
