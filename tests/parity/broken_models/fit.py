"""Training that the compiled step changes."""

import numpy as np
from tensorflow import keras

from tests.parity.broken_models import TwoLayers, broken


class AppliesEverySecondStep(TwoLayers):
    """Accumulates gradients, and counts the steps in Python."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.steps_taken = 0

    def move(self, gradients):
        self.steps_taken += 1
        if self.steps_taken % 2 == 0:
            super().move(gradients)


class WarmsUp(TwoLayers):
    """Warms the gradients up by a Python number."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.factor = 0.0

    def move(self, gradients):
        self.factor = min(1.0, self.factor + 0.2)
        super().move([self.factor * gradient for gradient in gradients])


class AddsNoise(TwoLayers):
    """Adds noise to the gradients, drawn by NumPy."""

    def move(self, gradients):
        super().move([g + 0.1 * np.random.normal(size=g.shape) for g in gradients])


class ForgetsTraining(TwoLayers):
    """Calls itself as in inference, so that its dropout does nothing."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dropout = keras.layers.Dropout(0.5, seed=1)

    def call(self, inputs, training=None):
        return self.out(self.dropout(self.hidden(inputs), training=training))

    def loss_and_outputs(self, x, y, sample_weight):
        outputs = self(x)
        return self.compute_loss(x, y, outputs, sample_weight), outputs


BROKEN = [
    broken("fit", AppliesEverySecondStep, "iterations[0] is"),
    broken("fit", WarmsUp, "where run_eagerly=True gives"),
    broken("fit", AddsNoise, "where run_eagerly=True gives"),
    broken("fit", ForgetsTraining, "nothing in the training step is called with `training=True`"),
]
