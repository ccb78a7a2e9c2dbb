"""Right layers that look suspicious to the checks of saving, tracking, sharing and replicas."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity import LayerCase, check_layer
from tfk_patterns.parity.saving.reloading import defined_beside

VECTORS = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
_MEAN = {
    2: {"aggregation": tf.VariableAggregation.MEAN},
    3: {"aggregation": "mean"},
}[_keras.GENERATION]
_MATRICES = {}
ENCODER = keras.layers.Dense(3)
CHECKS = (
    *("shared_state", "tracked_variables", "config", "weights_file", "keras_file", "export"),
    "replicas",
)


class DefaultList(keras.layers.Layer):
    """Nothing ever changes its mutable default argument."""

    factors = {"double": 2.0}  # noqa: RUF012

    def __init__(self, shifts=[1.0, 2.0], **kwargs):  # noqa: B006
        super().__init__(**kwargs)
        self.shifts = shifts

    def get_config(self):
        return {**super().get_config(), "shifts": list(self.shifts)}

    def call(self, inputs):
        return inputs * self.factors["double"] + sum(self.shifts)


class MemoInModule(keras.layers.Layer):
    """Computes a constant once for all layers."""

    def call(self, inputs):
        size = inputs.shape[-1]
        if size not in _MATRICES:
            _MATRICES[size] = np.tri(size)
        return tf.matmul(inputs, tf.constant(_MATRICES[size], inputs.dtype))


class TakesLayer(keras.layers.Layer):
    """Pops from its config what it reads from it, as Keras' guide does."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def build(self, input_shape):
        if not self.inner.built:  # a serialised layer is built when it is read
            self.inner.build(input_shape)
        self.built = True

    def get_config(self):
        return {**super().get_config(), "inner": keras.layers.serialize(self.inner)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.layers.deserialize(config.pop("inner")), **config)

    def call(self, inputs):
        return self.inner(inputs)


class LooksUp(keras.layers.Layer):
    """Has a table that is an attribute, which Keras 2.15 does not export (docs/findings.md)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        pairs = tf.lookup.KeyValueTensorInitializer([0, 1], [1.0, 2.0], tf.int32, tf.float32)
        self.table = tf.lookup.StaticHashTable(pairs, 0.5)

    def call(self, inputs):
        return inputs * tf.cast(self.table.lookup(tf.cast(inputs > 0, tf.int32)), inputs.dtype)


class NormalisesArguments(keras.layers.Layer):
    """Has one argument that is off unless another is on, and one that it writes otherwise."""

    def __init__(self, scale=False, centre=False, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.scale = bool(scale)
        self.centre = bool(centre) and self.scale
        self.axis = [axis] if isinstance(axis, int) else list(axis)

    def get_config(self):
        config = {"scale": self.scale, "centre": self.centre, "axis": self.axis}
        return {**super().get_config(), **config}

    def call(self, inputs):
        return tf.identity(inputs)


class RenamesArgument(keras.layers.Layer):
    """Has an argument under another name in the config, and reads it from there."""

    def __init__(self, function=tf.nn.relu, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def get_config(self):
        return {**super().get_config(), "function_name": self.function.__name__}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        return cls(getattr(tf.nn, config.pop("function_name")), **config)

    def call(self, inputs):
        return self.function(inputs)


class MeanOfReplica(keras.layers.Layer):
    """Keeps a running mean of what a replica sees, as Keras 3's BatchNormalization does."""

    arguments = {}  # noqa: RUF012

    def build(self, input_shape):
        self.mean = self.add_weight(
            name="mean",
            shape=(input_shape[-1],),
            initializer="zeros",
            trainable=False,
            **self.arguments,
        )
        self.built = True

    def call(self, inputs, training=None):
        mean = tf.convert_to_tensor(self.mean)
        if training and self.trainable:
            self.mean.assign(0.9 * mean + 0.1 * tf.reduce_mean(inputs, axis=0))
        return inputs - mean


class MeanOfReplicas(MeanOfReplica):
    """Keeps a running mean over all replicas."""

    arguments = _MEAN


class Calls(keras.layers.Layer):
    """Counts calls: each replica's count is everybody's."""

    def build(self, input_shape):
        self.calls = self.add_weight(name="calls", shape=(), initializer="zeros", trainable=False)
        self.built = True

    def call(self, inputs, training=None):
        if training and self.trainable:
            self.calls.assign_add(1.0)
        self.add_loss(tf.reduce_mean(tf.square(inputs)))
        return tf.identity(inputs)


class BatchSpread(keras.layers.Layer):
    """Depends on the batch, of which a replica sees its own half."""

    def call(self, inputs, training=None):
        if training:
            return inputs / (tf.math.reduce_std(inputs, axis=0) + 1.0)
        return tf.identity(inputs)


class MeanOfSome(keras.layers.Layer):
    """Its penalty is a mean over the samples that count: more in one half of a batch."""

    def call(self, inputs):
        counts = tf.cast(inputs[:, :1] > 0, inputs.dtype)
        penalties = counts * (1.0 + 0.01 * inputs)
        self.add_loss(tf.reduce_sum(penalties) / tf.maximum(tf.reduce_sum(counts), 1.0))
        return tf.identity(inputs)


class NormalisedFirst(keras.layers.Layer):
    """What its Normalization was adapted to is in its weights, and in no config."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = keras.layers.Normalization()
        self.dense = keras.layers.Dense(2)

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True

    def call(self, inputs):
        return self.dense(self.norm(inputs))


def adapted():
    layer = NormalisedFirst()
    layer.norm.adapt(3 * VECTORS + 1)
    return layer


RIGHT = [
    LayerCase(MeanOfSome, VECTORS, name="MeanOfSome"),
    LayerCase(adapted, VECTORS, name="adapted"),
    LayerCase(DefaultList, VECTORS, name="DefaultList"),
    LayerCase(MemoInModule, VECTORS, name="MemoInModule"),
    LayerCase(lambda: TakesLayer(keras.layers.Dense(2)), VECTORS, name="TakesLayer"),
    LayerCase(lambda: TakesLayer(ENCODER), VECTORS, name="SharedByMake"),
    LayerCase(NormalisesArguments, VECTORS, name="NormalisesArguments"),
    LayerCase(lambda: RenamesArgument(tf.nn.elu), VECTORS, name="RenamesArgument"),
    LayerCase(MeanOfReplica, VECTORS, name="MeanOfReplica"),
    LayerCase(MeanOfReplicas, VECTORS, name="MeanOfReplicas"),
    LayerCase(Calls, VECTORS, name="Calls"),
    LayerCase(BatchSpread, VECTORS, name="BatchSpread"),
]


@pytest.mark.parametrize("case", RIGHT, ids=lambda case: case.name)
def test_no_check_blames_it(case):
    report = check_layer(case, checks=CHECKS)
    skipped = {result.check for result in report.results if result.verdict == "skipped"}
    assert skipped <= {"weights_file", "replicas"}
    assert ("replicas" in skipped) == (case.name in ("BatchSpread", "MeanOfSome", "SharedByMake"))


def test_a_table_that_keras_does_not_track_is_no_fault():
    (result,) = check_layer(LayerCase(LooksUp, VECTORS), checks=["export"]).results
    exports = not tf.__version__.startswith("2.15.")
    assert result.verdict == ("passed" if exports else "skipped")
    assert ("does not track" in result.reason) != exports


def test_a_dtype_of_a_layer_of_keras_inside_is_no_fault_of_the_layer_around_it():
    (result,) = check_layer(LayerCase(adapted, VECTORS), checks=["dtype_policy"]).results
    assert result.verdict == "passed"


def test_nothing_outlives_a_layer_that_changes_globals():
    from tests.parity.broken.shared_state import BROKEN

    before = _keras.global_settings(), np.random.get_state()[1].tolist()
    for found in BROKEN:
        check_layer(found.case, checks=["shared_state", "config"], on_fail="report")
    assert (_keras.global_settings(), np.random.get_state()[1].tolist()) == before


def test_python_code_in_a_config_is_said():
    case = LayerCase(lambda: keras.layers.Lambda(lambda x: 2 * x), VECTORS)
    report = check_layer(case, checks=["config", "keras_file"])
    assert {result.verdict for result in report.results} == {"skipped"}
    assert "Python code" in report.results[0].reason


def test_python_functions_cannot_be_exported_but_are_no_fault():
    class Island(keras.layers.Layer):
        def call(self, inputs):
            outputs = tf.py_function(lambda x: 2.0 * x, [inputs], inputs.dtype)
            outputs.set_shape(inputs.shape)
            return outputs

        def compute_output_shape(self, input_shape):
            return input_shape

    (result,) = check_layer(LayerCase(Island, VECTORS), checks=["export"]).results
    assert result.verdict == "skipped"
    assert "tf.py_function" in result.reason


def accuracy():
    """A function of this module with the short name of a metric."""
    return 1.0


def test_a_function_with_the_short_name_of_a_metric_is_no_custom_object():
    beside = defined_beside(DefaultList)
    assert "MemoInModule" in beside
    assert accuracy() == 1.0
    assert "accuracy" not in beside  # `compile(metrics=["accuracy"])` means Keras'
