"""Errors of a user's code, told in a line."""

import pytest
import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.errors import in_one_line, shown_apart, users_line


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


@pytest.mark.parametrize("jit_compile", [None, True])
def test_where_in_the_graph_an_operation_failed_is_left_out(jit_compile):
    @tf.function(jit_compile=jit_compile)
    def added(x, size):
        return x + tf.range(size)

    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        added(tf.range(3), tf.constant(2))
    told = in_one_line(caught.value)
    assert told.startswith("InvalidArgumentError: Incompatible shapes: ")
    assert "node" not in told
    assert "[Op:" not in told


def test_an_eager_operation_is_not_named_by_its_kernel():
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        tf.split(tf.range(3), 2)
    told = in_one_line(caught.value)
    assert told.startswith("InvalidArgumentError: Number of ways to split should evenly divide")
    assert told.endswith("num_split 2")


def test_long_texts_are_shown_from_where_they_differ():
    one, other = (str([*range(100), last]) for last in ("a", "b"))
    shown = shown_apart(one, other)
    assert all(text.startswith("... ") and len(text) <= 70 for text in shown)
    assert [text[-4:] for text in shown] == ["'a']", "'b']"]
    assert shown_apart("1", "2") == ("1", "2")
