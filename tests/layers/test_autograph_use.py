"""autograph_call in use: inheritance, decorators, files, copies, debuggers, errors."""

import copy
import functools
import inspect
import pickle
import sys
import traceback

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers.autograph_layers import Rescaled
from tests.layers.cases import VECTORS
from tfk_patterns.layers import autograph_call


def collatz(number):
    steps = 0
    while number != 1:
        number = number // 2 if number % 2 == 0 else 3 * number + 1
        steps += 1
    return steps


@autograph_call
class Collatz(keras.layers.Layer):
    """`while`, `if`, `break`, `continue` and an early return, on each element."""

    def call(self, inputs):
        found = tf.TensorArray(tf.int32, tf.size(inputs))
        for place in tf.range(tf.size(inputs)):
            found = found.write(place, self.steps(inputs[place]))
        return found.stack()

    def steps(self, number):
        steps = 0
        if number < 1:
            return -1
        while number != 1:
            if steps > 1000:
                break
            steps += 1
            if number % 2 == 0:
                number = number // 2
                continue
            number = 3 * number + 1
        return steps


def test_loops_within_loops_against_plain_python():
    numbers = np.arange(1, 40, dtype="int32")
    layer = Collatz(dtype="int32")
    expected = [collatz(int(number)) for number in numbers]
    for function in (layer, tf.function(layer)):
        assert function(tf.constant(numbers)).numpy().tolist() == expected
        assert function(tf.constant([0, 6])).numpy().tolist() == [-1, 8]


class Base(keras.layers.Layer):
    """Not converted itself, until a class below decorates what it overrides."""

    def call(self, inputs, scale=2.0, *, training=None):
        """What it says."""
        if tf.reduce_sum(inputs) > 0:
            inputs = inputs * scale
        return inputs


def test_super_closures_and_other_decorators():
    offset = tf.constant(1.0)

    def doubled(function):
        @functools.wraps(function)
        def wrapper(self, *args, **kwargs):
            return 2.0 * function(self, *args, **kwargs)

        return wrapper

    @autograph_call
    class Derived(Base):
        @doubled
        def call(self, inputs, training=None):
            outputs = super().call(inputs, training=training)
            if tf.reduce_sum(inputs) < 0:
                outputs = outputs + offset
            return outputs

    for sign in (1.0, -1.0):
        inputs = sign * np.ones((2, 3), "float32")
        wanted = 2 * (inputs * 2 if sign > 0 else inputs + 1)
        for mode in (lambda f: f, tf.function):
            np.testing.assert_array_equal(mode(Derived())(inputs), wanted)


def test_a_call_that_overrides_a_decorated_one_is_as_keras_has_it():
    class Overriding(Rescaled):
        def call(self, inputs):
            return super().call(inputs) + 1.0  # which is converted

    outputs = tf.function(Overriding())(VECTORS)
    np.testing.assert_allclose(outputs, Rescaled()(VECTORS) + 1.0, rtol=1e-6)


def test_the_method_alone_can_be_decorated():
    class Cell(keras.layers.Layer):
        state_size = output_size = 3

        @autograph_call
        def call(self, inputs, states, training=None):
            (state,) = states
            if tf.reduce_sum(inputs) > 0:
                state = state + inputs
            return state, [state]

    inputs = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    state = np.zeros((2, 3))
    for step in np.moveaxis(inputs, 1, 0):
        state = state + step if step.sum() > 0 else state
    np.testing.assert_allclose(
        keras.Sequential([keras.layers.RNN(Cell())]).predict(inputs, verbose=0), state, rtol=1e-5
    )


def test_a_model_can_be_decorated_saved_and_exported(tmp_path):
    model = Branches()
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(VECTORS, VECTORS[:, :1], verbose=0)
    model.save(tmp_path / "model.keras")
    wanted = model.predict(VECTORS, verbose=0)
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(VECTORS, verbose=0), wanted, rtol=1e-6)
    model.export(str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(loaded.serve(VECTORS), wanted, rtol=1e-6)
    assert keras.utils.get_registered_name(Branches) == "tests>Branches"


@keras.utils.register_keras_serializable("tests")
@autograph_call
class Branches(keras.Model):
    """A model whose `call` branches."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(1)

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True

    def call(self, inputs):
        outputs = self.dense(inputs)
        if tf.reduce_mean(outputs) > 0:
            outputs = -outputs
        return outputs


def test_it_can_be_copied_and_pickled():
    assert pickle.loads(pickle.dumps(Branches)) is Branches
    assert pickle.loads(pickle.dumps(Branches.call)) is Branches.call
    layer = Rescaled()
    layer(VECTORS)
    np.testing.assert_array_equal(copy.deepcopy(layer)(VECTORS), layer(VECTORS))


def test_the_signature_and_docstring_stay():
    before = inspect.signature(Base.call), Base.call.__doc__
    decorated = autograph_call(Base.call)
    assert (inspect.signature(decorated), decorated.__doc__) == before


def test_eager_mode_runs_the_lines_as_they_stand():
    seen = []

    def trace(frame, event, argument):
        if event == "line":
            seen.append((frame.f_code.co_filename, frame.f_lineno))
        return trace

    layer = Collatz(dtype="int32")
    layer(tf.constant([1]))
    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        layer(tf.constant([6]))
    finally:
        sys.settrace(previous)
    lines, start = inspect.getsourcelines(Collatz.steps)
    stepped = {line for name, line in seen if name == __file__}
    loop = start + next(i for i, line in enumerate(lines) if "while number" in line)
    assert loop in stepped


def test_an_error_names_the_line_of_the_user():
    @autograph_call
    class Failing(keras.layers.Layer):
        def call(self, inputs):
            if tf.reduce_sum(inputs) > 0:
                raise ValueError("no such thing")  # this line
            return inputs

    with pytest.raises(ValueError, match="no such thing") as caught:
        tf.function(Failing())(tf.ones((2, 3)))
    text = "".join(traceback.format_exception(caught.value))
    lines, start = inspect.getsourcelines(test_an_error_names_the_line_of_the_user)
    line = start + next(i for i, text in enumerate(lines) if "this line" in text)
    assert f'{__file__}", line {line}' in text


def from_exec():
    namespace = {}
    exec("def call(self, inputs):\n    return inputs\n", namespace)
    return namespace["call"]


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (
            3,
            TypeError,
            "a class that defines `call`, or its `call`. Received: target=3",
        ),
        (
            type("Empty", (keras.layers.Layer,), {}),
            ValueError,
            "a class of your own that defines",
        ),
        (lambda self, inputs: inputs, ValueError, "made by `def` in a file or a notebook"),
        (from_exec(), ValueError, "made by `def` in a file or a notebook"),
        (tf.function(Base.call), TypeError, "take `@tf.function` away"),
        (keras.layers.Dense(1), TypeError, "a plain function"),
    ],
    ids=["number", "no_call", "lambda", "exec", "tf_function", "layer"],
)
def test_what_it_cannot_take(target, error, message):
    with pytest.raises(error, match=message):
        autograph_call(target)
