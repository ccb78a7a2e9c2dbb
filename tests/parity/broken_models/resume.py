"""Training that a file does not bring back."""

import tensorflow as tf

from tests.parity.broken_models import TwoLayers, broken, compiled


class Averager:
    """A plain object, into which Keras does not look."""

    def __init__(self):
        self.count = tf.Variable(1.0, trainable=False)


class CountsInAnObject(TwoLayers):
    """Lets the step shrink with a count that no file holds."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.averager = Averager()

    def move(self, gradients):
        self.averager.count.assign_add(1.0)
        super().move([gradient / self.averager.count for gradient in gradients])


class LosesItsRate(TwoLayers):
    """Has an argument that is not in its config, so that it is at its default after loading."""

    def __init__(self, rate=1.0, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def get_config(self):
        return {"name": self.name}

    def move(self, gradients):
        super().move([self.rate * gradient for gradient in gradients])


class AveragesOutside(TwoLayers):
    """Predicts with the mean of the weights over all steps, kept where no file looks."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.averager = Averager()

    def move(self, gradients):
        super().move(gradients)
        self.averager.count.assign_add(tf.reduce_mean(tf.abs(self.out.kernel)))

    def call(self, inputs, training=None):
        outputs = super().call(inputs, training)
        return outputs if training else outputs * self.averager.count


BROKEN = [
    broken("resume", AveragesOutside, "predict is"),
    broken("resume", CountsInAnObject, "where the model that was not interrupted"),
    broken(
        "resume",
        lambda: compiled(LosesItsRate(rate=0.2)),
        "where the model that was not",
        name="LosesItsRate",
    ),
]
