"""Argument checks: what passes, and how the errors read."""

import numpy as np
import pytest
import tensorflow as tf

from tfk_patterns import _validate


@pytest.mark.parametrize(
    ("function", "value", "error", "message"),
    [
        (_validate.real, "1", TypeError, "`x` must be a number. Received: x='1' (of type str)"),
        (_validate.real, True, TypeError, "`x` must be a number. Received: x=True (of type bool)"),
        (_validate.real, float("nan"), ValueError, "`x` must be finite. Received: x=nan"),
        (_validate.real, float("inf"), ValueError, "`x` must be finite. Received: x=inf"),
        (_validate.non_negative, -1, ValueError, "`x` must be at least 0. Received: x=-1"),
        (_validate.positive, 0, ValueError, "`x` must be more than 0. Received: x=0"),
        (_validate.fraction, 1.0, ValueError, "`x` must be in [0, 1). Received: x=1.0"),
        (_validate.fraction, -0.1, ValueError, "`x` must be in [0, 1). Received: x=-0.1"),
        (_validate.closed_fraction, 1.1, ValueError, "`x` must be in [0, 1]. Received: x=1.1"),
        (
            _validate.open_fraction,
            0,
            ValueError,
            "`x` must be in (0, 1), both ends excluded. Received: x=0",
        ),
        (
            _validate.non_negative_integer,
            1.0,
            TypeError,
            "`x` must be an integer. Received: x=1.0 (of type float)",
        ),
        (_validate.non_negative_integer, -1, ValueError, "`x` must be at least 0. Received: x=-1"),
        (
            _validate.boolean,
            1,
            TypeError,
            "`x` must be True or False. Received: x=1 (of type int)",
        ),
    ],
)
def test_errors_name_the_argument_what_was_expected_and_what_came(function, value, error, message):
    with pytest.raises(error) as caught:
        function("x", value)
    assert str(caught.value) == message


def test_choices():
    assert _validate.one_of("x", "a", ("a", "b")) == "a"
    with pytest.raises(ValueError, match=r"`x` must be one of 'a', 'b'. Received: x='c'"):
        _validate.one_of("x", "c", ("a", "b"))
    with pytest.raises(TypeError, match=r"`x` must be one of 'a', 'b'. Received: x=3"):
        _validate.one_of("x", 3, ("a", "b"))


def test_numpy_numbers_are_numbers():
    assert _validate.fraction("x", np.float32(0.5)) == 0.5
    assert type(_validate.non_negative_integer("x", np.int64(3))) is int


def test_ranks_that_are_unknown_pass():
    _validate.rank("x", tf.TensorShape(None), 3, "(a, b, c)")
    _validate.rank("x", (None, None, 2), 3, "(a, b, c)")
    with pytest.raises(ValueError, match=r"`x` must have rank 3, \(a, b, c\)\. Received: x of"):
        _validate.rank("x", (None, 2), 3, "(a, b, c)")
    with pytest.raises(ValueError, match="`x` must have rank 2 or more"):
        _validate.rank_at_least("x", (4,), 2, "(a, b)")


def test_an_axis_that_must_be_known():
    assert _validate.known_axis("x", (None, 3), -1, "the units") == 3
    with pytest.raises(ValueError, match="`x` must have a known size along axis -1, the units"):
        _validate.known_axis("x", (3, None), -1, "the units")
