"""State kept in Python, which the graph reads once, when it is traced."""

import collections
import itertools

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class AnnealedScale(keras.layers.Layer):
    """Scales less with each call, counted by a Python attribute that the graph reads once."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs / self.calls


class LateScale(keras.layers.Layer):
    """Scales its input from the fifth training call on, counted in Python: after the graph's."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.steps = 0

    def call(self, inputs, training=None):
        if training:
            self.steps += 1
        return inputs * (2.0 if self.steps > 3 else 1.0)


class KLWarmUp(keras.layers.Layer):
    """Warms its penalty up by a Python number."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.beta = 0.0

    def call(self, inputs):
        self.beta = min(1.0, self.beta + 0.1)
        self.add_loss(self.beta * tf.reduce_mean(tf.square(inputs)))
        return inputs


class FrozenAtFirst(keras.layers.Layer):
    """Lets no gradient through in its first calls, counted in Python, to protect what is below."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs if self.calls > 3 else tf.stop_gradient(inputs)


class ReportsEverySecondCall(keras.layers.Layer):
    """Updates its metric every second call, to save time: after three calls the flag is alike."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.second = False
        self.norm = keras.metrics.Mean(name=f"{self.name}_norm")

    def call(self, inputs):
        if self.second:
            self.norm.update_state(tf.norm(inputs))
        self.second = not self.second
        return inputs


class RunningMean(keras.layers.Layer):
    """Keeps a running mean, with the number of batches seen in a Python attribute."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.batches = 0

    def build(self, input_shape):
        self.mean = self.add_weight(
            name="mean", shape=(input_shape[-1],), initializer="zeros", trainable=False
        )
        self.built = True

    def call(self, inputs, training=None):
        if training and self.trainable:
            self.batches += 1
            batch_mean = tf.reduce_mean(inputs, axis=(0, 1))
            self.mean.assign(self.mean + (batch_mean - self.mean) / self.batches)
        return inputs


class _Schedule:
    """A plain object with a counter of its own."""

    def __init__(self):
        self.step = 0

    def __call__(self):
        self.step += 1
        return 1.0 / self.step


class HoldsASchedule(keras.layers.Layer):
    """Multiplies by what a schedule says, in a layer that it holds."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.schedules = {"scale": [_Schedule()]}

    def call(self, inputs):
        return inputs * self.schedules["scale"][0]()


class HoldsACountingLayer(keras.layers.Layer):
    """The layer in it counts, not the layer itself."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = AnnealedScale()

    def call(self, inputs):
        return self.inner(inputs) + 1.0


class RemembersShapes(keras.layers.Layer):
    """Logs what it has seen, in a bounded queue."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seen = collections.deque(maxlen=100)

    def call(self, inputs):
        self.seen.append(tuple(inputs.shape))
        return inputs * 2.0


class AlternatesFactors(keras.layers.Layer):
    """Takes its factors in turn."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.factors = itertools.cycle([1.0, 0.5])

    def call(self, inputs):
        return inputs * next(self.factors)


def _counted(function):
    calls = 0

    def wrapper(inputs):
        nonlocal calls
        calls += 1
        return function(inputs) / calls

    return wrapper


class CountsInAClosure(keras.layers.Layer):
    """Keeps its count around a helper function."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scaled = _counted(tf.identity)

    def call(self, inputs):
        return self.scaled(inputs)


class MarksTheTrace(keras.layers.Layer):
    """Changes an attribute only while it is traced."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.traces = 0

    def call(self, inputs):
        if tf.inside_function():
            self.traces += 1
        return inputs * 2.0


BROKEN = [
    broken("python_state", AnnealedScale, "`self.calls` is 4 after three eager calls and 2 after"),
    broken("python_state", LateScale, "`self.steps` is 3 after three eager calls and 1 after"),
    broken("python_state", KLWarmUp, "`self.beta` is 0.4 after three eager calls"),
    broken("python_state", FrozenAtFirst, "`self.calls` is"),
    broken("python_state", ReportsEverySecondCall, "`self.second` is True after two eager calls"),
    broken("python_state", RunningMean, "`self.batches` is"),
    broken("python_state", HoldsASchedule, "`self.schedules['scale'][0].step` is 4"),
    broken("python_state", HoldsACountingLayer, "`self.inner.calls` is"),
    broken("python_state", RemembersShapes, "`self.seen` is"),
    broken("python_state", AlternatesFactors, "`self.factors` is"),
    broken("python_state", CountsInAClosure, "calls (in the closure of _counted"),
    broken("python_state", MarksTheTrace, "`self.traces` is 0 after three eager calls"),
]
