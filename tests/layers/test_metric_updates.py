"""MetricTracking: who updates a metric and when, and what files hold of it."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfk_patterns.layers import ActivationMonitor, MetricTracking

INPUTS = np.arange(12, dtype="float32").reshape(6, 2)
TARGETS = np.zeros((6, 1), "float32")


class Monitor(MetricTracking, keras.layers.Layer):
    def __init__(self, metric="mean", **kwargs):
        super().__init__(**kwargs)
        self.declare_metric("value", metric)

    def call(self, inputs):
        self.update_metric("value", inputs)
        return inputs


class Model(keras.Model):
    """A subclassed model whose `call` does not take `training`."""

    def __init__(self, metric="mean"):
        super().__init__()
        self.monitor = Monitor(metric, name="monitor")
        self.dense = keras.layers.Dense(1, kernel_initializer="zeros")

    def call(self, inputs):
        return self.dense(self.monitor(inputs))


class Guided(Model):
    """Its `train_step` updates all metrics, as the guides of Keras do."""

    def train_step(self, data):
        x, y = data
        for metric in self.metrics:
            metric.update_state(y, self(x, training=True))
        return {metric.name: metric.result() for metric in self.metrics}


class Computed(Model):
    """Its `train_step` updates those of `compile`."""

    def train_step(self, data):
        x, y = data
        return self.compute_metrics(x, y, self(x, training=True), None)


def fitted(model, **arguments):
    model.compile("sgd", "mse", metrics=[keras.metrics.MeanAbsoluteError(name="mae")], **arguments)
    return model.fit(INPUTS, TARGETS, batch_size=4, shuffle=False, verbose=0).history


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_model_whose_call_does_not_take_training_counts_its_steps(run_eagerly):
    history = fitted(Model(), run_eagerly=run_eagerly)
    assert history["monitor_value"] == [pytest.approx(INPUTS.mean(), rel=1e-6)]


@pytest.mark.parametrize("metric", ["mean", "max", keras.metrics.Mean()])
def test_a_train_step_cannot_update_the_metrics_of_a_layer(metric):
    with pytest.raises(RuntimeError, match=r"'monitor_value' is updated by its layer alone, 'moni"):
        fitted(Guided(metric), run_eagerly=True)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_train_step_of_ones_own_updates_those_of_compile(run_eagerly):
    history = fitted(Computed(), run_eagerly=run_eagerly)
    assert history["monitor_value"] == [pytest.approx(INPUTS.mean(), rel=1e-6)]
    assert history["mae"] == [0.0]


def test_training_must_be_known_when_the_graph_is_traced():
    layer = Monitor()
    layer(INPUTS, training=tf.constant(True))
    assert float(layer.metrics[0].result()) == INPUTS.mean()
    outer = keras.Sequential([keras.Input((2,)), layer])
    with pytest.raises(TypeError, match="`training` must be True or False when the graph is trac"):
        tf.function(lambda training: outer(INPUTS, training=training))(tf.constant(True))


@pytest.mark.parametrize(("metric", "expected"), [("max", 11.0), ("min", 0.0), ("std", 3.4520525)])
def test_float64_is_kept(metric, expected):
    keras.backend.set_floatx("float64")
    try:
        model = keras.Sequential(
            [keras.Input((2,)), Monitor(metric, name="monitor"), keras.layers.Dense(1)]
        )
        history = fitted(model)
    finally:
        keras.backend.set_floatx("float32")
    assert history["monitor_value"] == [pytest.approx(expected, rel=1e-7)]
    assert model.layers[0].metrics[0].variables[0].dtype == "float64"


@pytest.mark.parametrize(("metric", "value"), [("max", -np.inf), ("min", np.inf)])
def test_an_extreme_of_infinities_is_one(metric, value):
    layer = Monitor(metric)
    inputs = np.full((3, 2), value, "float32")
    layer(inputs, training=True)
    assert float(layer.metrics[0].result()) == value


@pytest.mark.parametrize(
    "how", ["keras_file", pytest.param("weights_file", marks=pytest.mark.slow)]
)
def test_files_load_for_another_number_of_replicas(how, two_replicas, tmp_path):
    def make():
        model = keras.Sequential(
            [keras.Input((2,)), ActivationMonitor(name="monitor"), keras.layers.Dense(1)]
        )
        model.compile(keras.optimizers.SGD(0.0), "mse")
        return model

    def load(strategy):
        with strategy.scope():
            if how == "keras_file":
                return keras.models.load_model(tmp_path / "model.keras")
            again = make()
            again.load_weights(tmp_path / "model.weights.h5")
            return again

    def save(model):
        if how == "keras_file":
            model.save(tmp_path / "model.keras")
        else:
            model.save_weights(tmp_path / "model.weights.h5")

    one = tf.distribute.get_strategy()
    with two_replicas.scope():
        model = make()
    for strategy in (one, two_replicas, two_replicas):
        model.fit(INPUTS, TARGETS, batch_size=6, verbose=0)
        save(model)
        model = load(strategy)
        logs = model.evaluate(INPUTS, TARGETS, batch_size=6, verbose=0, return_dict=True)
        assert logs["monitor_mean"] == pytest.approx(INPUTS.mean(), rel=1e-6)
        assert logs["monitor_std"] == pytest.approx(INPUTS.std(), rel=1e-6)


def test_a_metric_needs_a_layer_that_is_made():
    class Early(MetricTracking, keras.layers.Layer):
        def __init__(self):
            self.declare_metric("value")

    with pytest.raises(RuntimeError, match=r"after `super\(\).__init__\(\*\*kwargs\)`"):
        Early()


def test_a_mask_that_does_not_fit_names_the_metric():
    layer = Monitor()
    with pytest.raises(ValueError, match=r"\(2, 2\) for the metric 'value' with values of"):
        layer.update_metric("value", np.ones((2, 3, 4)), mask=np.ones((2, 2), bool))
    with pytest.raises(TypeError, match="`mask` must be boolean"):
        layer.update_metric("value", np.ones((2, 3, 4)), mask=np.ones((2, 3)))


def test_only_a_step_of_a_model_counts():
    layer = Monitor()

    def test_step():
        layer(INPUTS)

    test_step()
    assert float(layer.metrics[0].result()) == 0.0
