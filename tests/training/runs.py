"""The same run by `fit`, `evaluate` and `predict` of a model, and by a `TrainingLoop`."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, layers, models
from tfk_patterns.training import TrainingLoop

_DRAWS = np.random.default_rng(11)
# Batches of 8: five, and one of 5 samples.
X = _DRAWS.normal(size=(45, 4)).astype("float32")
Y = _DRAWS.normal(size=(45, 2)).astype("float32")
SAMPLE_WEIGHT = _DRAWS.uniform(0.2, 2.0, size=45).astype("float32")
MODES = {
    "graph": {"jit_compile": False},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
    "executions": {"jit_compile": False, "steps_per_execution": 4},
}


def batches(*arrays, size=8, rows=45):
    """Of `arrays`, or of X, Y and sample weights; one alone is not in a tuple."""
    arrays = tuple(tf.nest.map_structure(lambda a: a[:rows], arrays or (X, Y, SAMPLE_WEIGHT)))
    data = tf.data.Dataset.from_tensor_slices(arrays[0] if len(arrays) == 1 else arrays)
    return data.batch(size)


def parts(random=True, statistics=False):
    """Layers that add losses and metrics, that draw, and that have state."""
    first = [keras.layers.BatchNormalization(synchronized=True), layers.RunningStandardizer()]
    return [
        *(first if statistics else []),
        keras.layers.Dense(6, "tanh", kernel_regularizer="l2"),
        *([layers.BatchNormDropout(rate=0.2, seed=3)] if random else []),
        layers.ActivationMonitor(name="monitor"),
        layers.L1L2ActivityRegularization(l2=0.01),
        keras.layers.Dense(2),
    ]


def few_parts():
    return [
        keras.layers.Dense(5, "tanh", kernel_regularizer="l2"),
        layers.L1L2ActivityRegularization(l2=0.01),
        keras.layers.Dense(2),
    ]


def sequential(cls=keras.Sequential, stack=None, **arguments):
    return cls([keras.Input((4,)), *(stack or parts())], **arguments)


def functional(cls=keras.Model, stack=None, **arguments):
    inputs = outputs = keras.Input((4,))
    for layer in stack or parts():
        outputs = layer(outputs)
    return cls(inputs, outputs, **arguments)


def subclassed(cls=keras.Model, stack=None, **arguments):
    """A model that is not built."""

    class Stack(cls):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.parts = stack or parts()

        def call(self, inputs, training=None):
            for part in self.parts:
                with_state = isinstance(
                    part, keras.layers.BatchNormalization | layers.BatchNormDropout
                )
                inputs = part(inputs, training=training) if with_state else part(inputs)
            return inputs

    return Stack(**arguments)


def deferred():
    return keras.Sequential(parts())


def compiled(model, optimizer=None, loss="mse", metrics=("mae",), weighted=("mse",), **arguments):
    optimizer = optimizer or keras.optimizers.Adam(0.01)
    metrics, weighted = (None if m is None else list(m) for m in (metrics, weighted))
    model.compile(optimizer, loss, metrics=metrics, weighted_metrics=weighted, **arguments)
    return model


def state(model):
    """All variables of the model, and of its optimizers."""
    optimizers = [v for v in vars(model).values() if isinstance(v, keras.optimizers.Optimizer)]
    optimizers = {id(o): o for o in [model.optimizer, *optimizers] if o is not None}.values()
    variables = [v for o in optimizers for v in _keras.optimizer_variables(o)]
    return [*model.get_weights(), *(np.asarray(tf.convert_to_tensor(v)) for v in variables)]


def assert_same_bits(found, expected):
    tf.nest.assert_same_structure(found, expected)
    for ours, theirs in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def twins(make):
    """A loop and a model, equal."""
    models_ = []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        models_.append(make())
    return TrainingLoop(models_[0]), models_[1]


def seeded(method, data, **arguments):
    keras.utils.set_random_seed(2)
    return method(data(), verbose=0, **arguments)


def assert_equals_fit(make, data=batches, pair=None, **arguments):
    """A loop trains as `fit` does, on what `data()` gives; gives both for more."""
    loop, model = pair or twins(make)
    arguments = {"epochs": 2, **arguments}
    expected = seeded(model.fit, data, **arguments)
    found = seeded(loop.fit, data, **arguments)
    assert isinstance(found, keras.callbacks.History)
    assert found is loop.model.history
    assert found.epoch == expected.epoch
    assert list(found.history) == list(expected.history)
    assert found.history == expected.history
    assert_same_bits(state(loop.model), state(model))
    # Keras 2 logs nothing of a `compute_loss` of the model's own.
    assert found.history or _keras.overrides(model, "compute_loss")
    return loop, model


def assert_equals_evaluate_and_predict(loop, model, data=batches, **arguments):
    found = seeded(loop.evaluate, data, **arguments)
    assert found == seeded(model.evaluate, data, return_dict=True, **arguments)
    assert found or _keras.overrides(model, "compute_loss")
    assert_same_bits(
        seeded(loop.predict, data, **arguments), seeded(model.predict, data, **arguments)
    )


def distilled(**arguments):
    teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    return sequential(models.DistillationModel, teacher=teacher, **arguments)


class Adversaries(keras.Model):
    """Two networks and two optimizers, and no `call`."""

    def __init__(self):
        super().__init__()
        dense = keras.layers.Dense
        self.generator = keras.Sequential([keras.Input((3,)), dense(5, "tanh"), dense(4)])
        self.critic = keras.Sequential([keras.Input((4,)), dense(5, "tanh"), dense(1)])
        self.generator_loss = keras.metrics.Mean(name="generator_loss")
        self.critic_loss = keras.metrics.Mean(name="critic_loss")

    def compile(self, generator_optimizer, critic_optimizer, **arguments):
        super().compile(**arguments)
        self.generator_optimizer = generator_optimizer
        self.critic_optimizer = critic_optimizer

    @property
    def metrics(self):
        return [self.generator_loss, self.critic_loss]

    def losses_of(self, x):
        noise = x[:, :3] ** 2
        made, real = self.critic(self.generator(noise)), self.critic(x)
        critic = tf.reduce_mean(tf.nn.softplus(made)) + tf.reduce_mean(tf.nn.softplus(-real))
        return critic, tf.reduce_mean(tf.nn.softplus(-made))

    def train_step(self, x):
        for number, (network, optimizer) in enumerate(
            ((self.critic, self.critic_optimizer), (self.generator, self.generator_optimizer))
        ):
            with tf.GradientTape() as tape:
                losses = self.losses_of(x)
            weights = network.trainable_weights
            gradients = tape.gradient(losses[number], weights)
            optimizer.apply_gradients(zip(gradients, weights, strict=True))
            self.metrics[1 - number].update_state(losses[number])
        return {metric.name: metric.result() for metric in self.metrics}

    def test_step(self, x):
        for metric, loss in zip(self.metrics, reversed(self.losses_of(x)), strict=True):
            metric.update_state(loss)
        return {metric.name: metric.result() for metric in self.metrics}


def adversaries(**arguments):
    model = Adversaries()
    model.compile(keras.optimizers.Adam(0.01), keras.optimizers.SGD(0.1), **arguments)
    return model
