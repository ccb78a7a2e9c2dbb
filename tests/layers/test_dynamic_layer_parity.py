"""More dynamic layers, and models of them, through the harness."""

import numpy as np
import pytest
from tensorflow import keras

from tests.layers.cases import MASK, STEPS, VECTORS
from tests.layers.dynamic_layers import Brief, Counted, Everything, Matched, Shrunk
from tfk_patterns import _keras
from tfk_patterns.parity import LayerCase, ModelCase, check_layer, check_model, parametrize_checks

NUMBERS = np.array([[0, 1, 1, 3], [2, 2, 2, 2], [0, 0, 3, 3], [1, 3, 0, 2]])
CASES = [
    LayerCase(lambda: Shrunk(limit=1.5, dynamic="island"), 3 * VECTORS, name="shrunk"),
    LayerCase(lambda: Matched(dynamic="island"), [STEPS, STEPS[:, ::-1]], name="matched"),
    LayerCase(lambda: Counted(dynamic="island"), NUMBERS, name="counted"),
    LayerCase(lambda: Everything(rate=0.0, dynamic="island"), STEPS, MASK, name="everything"),
]


@pytest.mark.slow
@parametrize_checks(CASES)
def test_dynamic_layers_do_the_same_in_every_mode(case, check):
    check(case)


def model(dynamic):
    inputs = keras.Input((5, 3))
    outputs = keras.layers.Dense(1)(Brief(dynamic=dynamic)(inputs))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.05), "mse", metrics=["mae"])
    return model


def case(dynamic):
    rows = np.concatenate([STEPS] * 3)
    targets = np.sin(np.arange(12.0, dtype="float32"))[:, np.newaxis]
    return ModelCase(lambda: model(dynamic), rows, targets, name=f"model_{dynamic}")


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", [True, "island"])
def test_models_do_the_same_in_every_mode(dynamic):
    check_model(case(dynamic))


ONLY_ON_KERAS_2 = pytest.mark.skipif(_keras.GENERATION == 3, reason="Keras 3 knows no such flag")


@ONLY_ON_KERAS_2
def test_fit_says_why_it_is_skipped_for_keras_own_dynamic():
    (result,) = check_layer(
        LayerCase(lambda: Shrunk(1.5), 3 * VECTORS), checks=["fit"], on_fail="report"
    ).results
    assert result.verdict == "skipped"
    assert "`dynamic=True`" in result.reason


@ONLY_ON_KERAS_2
def test_checks_of_models_say_why_they_are_skipped_for_keras_own_dynamic():
    report = check_model(case(True), checks=["fit", "evaluate_predict"])
    results = {result.check: result for result in report.results}
    assert results["fit"].verdict == "skipped"
    assert "`dynamic=True`" in results["fit"].reason
    assert results["evaluate_predict"].verdict == "passed"
    assert "evaluate in the graph" in results["evaluate_predict"].reason


def test_export_and_xla_are_skipped_where_the_layer_says_so():
    shrunk = LayerCase(lambda: Shrunk(1.5, dynamic="island"), 3 * VECTORS)
    report = check_layer(shrunk, checks=["outputs", "export"])
    results = {result.check: result for result in report.results}
    assert results["export"].verdict == "skipped"
    assert "A SavedModel cannot hold the layer" in results["export"].reason
    assert results["outputs"].verdict == "passed"
    assert "supports_jit = False" in results["outputs"].reason
