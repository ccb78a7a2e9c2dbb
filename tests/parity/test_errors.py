"""Errors of a user's code, told in a line."""

import pytest

from tfk_patterns import _keras
from tfk_patterns.parity.errors import in_one_line, users_line


def test_a_short_error_is_told_whole():
    assert in_one_line(ValueError("no  such\n axis")) == "ValueError: no such axis"


def test_of_a_long_error_both_ends_are_told():
    words = " ".join(["it began here", *["and went on"] * 100, "to end with the cause"])
    told = in_one_line(ValueError(words), width=120)
    assert told.startswith("ValueError: it began here and went on")
    assert " ... " in told
    assert told.endswith("to end with the cause")
    assert len(told) <= len("ValueError: ... ") + 120 + 1


def test_what_keras_says_around_an_error_is_left_out():
    text = (
        "Exception encountered when calling Scaled.call().\n\n\x1b[1mno such axis\x1b[0m\n\n"
        "Arguments received by Scaled.call():\n  - inputs=tf.Tensor(shape=(2, 3))"
    )
    assert in_one_line(ValueError(text)) == "ValueError: no such axis"


def test_the_line_that_is_named_is_not_the_librarys():
    with pytest.raises(AttributeError) as caught:
        _keras.call_exported(None, [])
    assert users_line(caught.value).startswith("test_errors.py:")
