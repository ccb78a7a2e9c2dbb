"""The adapter: twins that offer the same, and what they promise."""

import ast
import importlib
import inspect
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity import LayerCase, check_layer

FOLDER = Path(_keras.__file__).parent


def functions_of(twin):
    """Name to argument names, read without importing: only one twin can be imported."""
    tree = ast.parse((FOLDER / f"{twin}.py").read_text())
    return {
        node.name: [a.arg for a in (*node.args.args, *node.args.kwonlyargs)]
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


CONSTANTS = {"ADDS_UP_ROWS", "AUTOGRAPH", "GENERATION", "PREDICTS_ON_BATCHES"}
CLASSES = {"BaseDynamicLayer", "Operation"}
TWINS = [
    ("keras2", "keras3"),
    ("keras2_islands", "keras3_islands"),
    ("keras2_training", "keras3_training"),
]


@pytest.mark.parametrize("twins", TWINS)
def test_the_twins_offer_the_same_functions_with_the_same_arguments(twins):
    assert functions_of(twins[0]) == functions_of(twins[1])


def test_all_that_is_offered_is_re_exported():
    functions = {name for twins in [*TWINS, ("common",)] for name in functions_of(twins[0])}
    offered = {*functions, *CONSTANTS, *CLASSES}
    assert set(_keras.__all__) == offered


def test_every_function_is_documented():
    for name in set(_keras.__all__) - CONSTANTS:
        assert inspect.getdoc(getattr(_keras, name)), name


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "float64"])
def test_an_exact_weight_keeps_its_dtype_under_every_policy(policy):
    class Exact(keras.layers.Layer):
        def build(self, input_shape):
            self.count = _keras.add_exact_weight(self, name="count", dtype="int64")
            self.total = _keras.add_exact_weight(
                self, name="total", dtype="float32", shape=(2,), aggregation="mean"
            )
            self.built = True

        def call(self, inputs):
            self.dtypes = (
                tf.convert_to_tensor(self.count).dtype,
                tf.convert_to_tensor(self.total).dtype,
            )
            return inputs

    layer = Exact(dtype=policy)
    layer(np.ones((2, 2)))
    assert layer.dtypes == (tf.int64, tf.float32)
    assert len(layer.non_trainable_weights) == 2
    assert not layer.trainable_weights


def test_state_variables_hold_random_state_but_no_metric_state():
    class Mixed(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)
            self.seen = keras.metrics.Mean(name="seen")

        def call(self, inputs):
            self.seen.update_state(inputs)
            return self.dense(inputs)

    layer = Mixed()
    layer(np.ones((2, 3), "float32"))
    names = [_keras.variable_name(v).split("/")[-1] for v in _keras.state_variables(layer)]
    assert sorted(names) == ["bias", "kernel"]
    assert [metric.name for metric in _keras.metrics_of(layer)] == ["seen"]
    assert all(isinstance(v, tf.Variable) for v in _keras.trainable_variables(layer))


def test_masks_are_attached_and_read():
    tensor, mask = tf.ones((2, 3)), tf.ones((2,), tf.bool)
    assert _keras.attached_mask(tensor) is None
    _keras.attach_mask(tensor, mask)
    assert _keras.attached_mask(tensor) is mask
    assert _keras.attached_mask(keras.layers.Masking()(tf.ones((2, 3, 1)))) is not None


def test_a_layer_of_the_other_generation_is_refused_with_the_remedy():
    other = {2: "keras", 3: "tf_keras"}[_keras.GENERATION]
    module = pytest.importorskip(other, reason="the other generation is not installed")
    if module is importlib.import_module("keras") and module.__version__.startswith("2"):
        pytest.skip("the other generation is not installed")
    case = LayerCase(lambda: module.layers.ReLU(), np.ones((2, 3), "float32"))
    with pytest.raises(TypeError, match="TF_USE_LEGACY_KERAS") as caught:
        check_layer(case)
    assert "Received: " in str(caught.value)
