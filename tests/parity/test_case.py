"""What a case accepts, refuses and derives."""

import numpy as np
import pytest
from tensorflow import keras

from tfk_patterns.parity import LayerCase

INPUTS = np.ones((4, 3), "float32")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"make": 3}, TypeError, "`make` must be a callable that returns a fresh layer"),
        ({"make": keras.layers.ReLU()}, TypeError, "`make` must be a callable that returns a"),
        ({"inputs": None}, TypeError, "`inputs` must be an array"),
        ({"inputs": [[1.0, 2.0]]}, TypeError, "`inputs` must be an array"),
        ({"inputs": keras.Input((3,))}, TypeError, "`inputs` must be an array"),
        ({"mask": np.ones(4)}, TypeError, "`mask` must be made of boolean arrays"),
        ({"mask": np.ones(3, bool)}, ValueError, "`mask` must have the leading axes"),
        ({"mask": [np.ones(4, bool), None]}, ValueError, "`mask` must have one entry"),
        ({"name": 3}, TypeError, "`name` must be a string"),
        ({"tolerance": {"flaot32": (0, 0)}}, ValueError, "`tolerance` must be one of 'float64'"),
        ({"tolerance": {"float32": 0.1}}, TypeError, "`tolerance` must be made of pairs"),
        ({"call_kwargs": [1]}, TypeError, "`call_kwargs` must be a dict"),
        ({"call_kwargs": {"training": True}}, ValueError, "`call_kwargs` must be without `train"),
        ({"expected_failures": "fit"}, TypeError, "`expected_failures` must be a dict"),
        ({"expected_failures": {"fit": None}}, TypeError, "`expected_failures` must be made of"),
        ({"tolerance": -1.0}, ValueError, "`tolerance` must be at least 0"),
        ({"tolerance": "wide"}, TypeError, "`tolerance` must be a number"),
    ],
)
def test_bad_arguments(arguments, error, message):
    arguments = {"make": keras.layers.ReLU, "inputs": INPUTS, **arguments}
    with pytest.raises(error) as caught:
        LayerCase(**arguments)
    assert str(caught.value).startswith(message)
    assert "Received:" in str(caught.value)


def test_the_name_comes_from_make_and_never_from_calling_it():
    def gated():
        raise AssertionError("called")

    assert LayerCase(gated, INPUTS).name == "gated"
    assert LayerCase(keras.layers.ReLU, INPUTS).name == "ReLU"
    assert LayerCase(lambda: None, INPUTS).name == "layer"
    assert LayerCase(gated, INPUTS, name="mine").name == "mine"


def test_keyword_arrays_on_the_batch_axis_are_inputs():
    kwargs = {"state": np.ones((4, 2)), "table": np.ones((3, 2)), "axis": 1}
    case = LayerCase(keras.layers.ReLU, {"a": [INPUTS]}, call_kwargs=kwargs)
    assert set(case.batched_kwargs) == {"state"}
    assert set(case.fixed_kwargs) == {"table", "axis"}


def test_cases_are_hashable_and_frozen():
    case = LayerCase(keras.layers.ReLU, INPUTS)
    assert {case: 1}[case] == 1
    with pytest.raises(AttributeError):
        case.name = "other"
