"""Training that the compiled step changes."""

from tensorflow import keras

from tests.parity.broken import broken


class LateScale(keras.layers.Layer):
    """Scales its input from the fifth training call on, counted in Python: after the graph's."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.steps = 0

    def call(self, inputs, training=None):
        if training:
            self.steps += 1
        return inputs * (2.0 if self.steps > 3 else 1.0)


BROKEN = [broken("fit", LateScale, "step_losses is")]
