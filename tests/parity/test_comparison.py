"""When two arrays count as the same."""

import numpy as np
import pytest
import tensorflow as tf

from tfk_patterns.parity.comparison import (
    TOLERANCES,
    coarser,
    difference,
    named_leaves,
    tolerance_for,
)


@pytest.mark.parametrize(
    ("expected", "actual", "text"),
    [
        ([1.0, 2.0], [1.0, 2.0], None),
        ([1.0, 100.0], [1.00001, 100.0], None),
        ([1.0, 2.0], [1.0, 2.1], "is 2.1 at [1] where eager mode gives 2"),
        ([0.0], [1e-3], "is 0.001 at [0] where eager mode gives 0"),
        ([np.nan, np.inf], [np.nan, np.inf], None),
        ([np.inf], [-np.inf], "is -inf at [0] where eager mode gives inf"),
        ([1.0], [np.nan], "is nan at [0] where eager mode gives 1"),
        ([[1.0]], [1.0], "has shape (1,) where eager mode gives (1, 1)"),
        ([1, 2], [1, 3], "is 3 at [1] where eager mode gives 2"),
        ([1], [1.0], "has dtype float64 where eager mode gives int64"),
        ([True], [False], "is 0 at [0] where eager mode gives 1"),
        ([b"a"], [b"b"], "is [b'b'] where eager mode gives [b'a']"),
        ([1 + 1j], [1 - 1j], "is 1-1j at [0] where eager mode gives 1+1j"),
        ([], [], None),
    ],
)
def test_difference(expected, actual, text):
    found = difference(np.asarray(expected), np.asarray(actual), rtol=1e-4, atol=1e-6)
    assert found.description == text
    if text is None:
        assert found.max_abs_error < 1e-4


def test_errors_are_absolute_and_relative_to_the_largest_magnitude():
    found = difference(np.array([0.0, -4.0]), np.array([1.0, -4.0]), rtol=0.0, atol=0.0)
    assert (found.max_abs_error, found.max_rel_error) == (1.0, 0.25)


def test_bfloat16_is_compared_as_numbers():
    one = np.asarray(tf.constant([1.0], tf.bfloat16))
    assert difference(one, one, 0.0, 0.0).description is None
    assert "is 2 at [0]" in difference(one, one + one, *TOLERANCES["bfloat16"]).description


def test_integers_have_no_tolerance_and_overrides_hold():
    assert tolerance_for("int32", None) == (0.0, 0.0)
    assert tolerance_for("float32", 0.5) == (0.5, 0.5)
    assert tolerance_for("float16", {"float16": (0.1, 0.2)}) == (0.1, 0.2)
    assert tolerance_for("float32", {"float16": (0.1, 0.2)}) == TOLERANCES["float32"]


def test_the_coarser_dtype_has_the_wider_tolerance():
    assert coarser("float32", "float16") == "float16"
    assert coarser("bfloat16", "float16") == "bfloat16"
    assert coarser("float64", "float32") == "float32"


def test_leaves_are_named_by_their_place():
    structure = {"b": [1, (2,)], "a": 0}
    assert dict(named_leaves(structure, "x")) == {"x['a']": 0, "x['b'][0]": 1, "x['b'][1][0]": 2}
