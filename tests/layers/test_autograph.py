"""`call` with Python's control flow on tensors: as in eager mode, everywhere."""

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

from tests.layers.cases import MASK, STEPS, VECTORS
from tfk_patterns import _keras, layers
from tfk_patterns.layers import autograph_call
from tfk_patterns.parity import LayerCase, check_layer, parametrize_checks

MODES = {
    "eager": {"run_eagerly": True},
    "graph": {"jit_compile": False},
    "xla": {"jit_compile": True},
}


def _signed(layer, inputs):
    """Called by `call`: what it calls is converted too."""
    if tf.reduce_sum(layer.weight) > 0:
        return inputs * layer.weight
    return inputs - layer.weight


class Plain(keras.layers.Layer):
    """Branches with state, loops with breaks, a loss, a helper."""

    def build(self, input_shape):
        self.weight = self.add_weight(name="weight", shape=(input_shape[-1],), initializer="ones")
        self.steps = self.add_weight(name="steps", shape=(), initializer="zeros", trainable=False)
        self.built = True

    def call(self, inputs, training=None):
        outputs = _signed(self, inputs)
        if training and self.steps < 2.0:
            self.steps.assign_add(1.0)
        for row in tf.range(3):
            if row == 2:
                break
            outputs = outputs + tf.cast(row, outputs.dtype) * self.weight
        self.add_loss(tf.reduce_mean(tf.square(tf.cast(outputs, tf.float32))) * 0.1)
        return outputs


@keras.utils.register_keras_serializable("tests")
@autograph_call
class Branching(Plain):
    """The same, converted."""

    def call(self, inputs, training=None):
        return _PLAIN_CALL(self, inputs, training=training)


_PLAIN_CALL = Plain.call


@keras.utils.register_keras_serializable("tests")
@autograph_call
class Halved(layers.MetricTracking, keras.layers.Layer):
    """A loop as long as its values ask for, dropout in it, masks passed on, a metric."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.declare_metric("halvings", "max")

    def build(self, input_shape):
        self.noise = layers.BatchNormDropout(rate=0.2, seed=3, dtype=self.dtype_policy)
        self.noise.build(input_shape)
        self.built = True

    def call(self, inputs, mask=None, training=None):
        sizes = tf.abs(inputs)
        if mask is not None:
            sizes = tf.where(mask[..., tf.newaxis], sizes, tf.zeros_like(sizes))
        halvings = tf.zeros(())
        while tf.reduce_max(sizes) > 0.5:
            sizes = sizes / 2
            halvings += 1.0
        scale = tf.cast(tf.pow(0.5, halvings), inputs.dtype)
        for _ in tf.range(2):
            inputs = self.noise(inputs, mask=mask, training=training)
        self.update_metric("halvings", halvings)
        return inputs * scale


def fitted(layer, mode, x=VECTORS, epochs=2):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(x.shape[1:]), layer, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mse", **MODES[mode])
    history = model.fit(x, x[..., :1], epochs=epochs, batch_size=3, shuffle=False, verbose=0)
    return history.history["loss"], model.get_weights()


def assert_equal_to_eager(make, mode, **kwargs):
    (losses, weights), (wanted, expected) = fitted(make(), mode, **kwargs), fitted(make(), "eager")
    np.testing.assert_allclose(losses, wanted, rtol=1e-6)
    for ours, theirs in zip(weights, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


QUICK = [
    LayerCase(Branching, VECTORS, name="branching"),
    LayerCase(Halved, STEPS, MASK, name="halved_masked"),
]
REST = [
    LayerCase(lambda: Branching(dtype="mixed_float16"), VECTORS, name="branching_float16"),
    LayerCase(
        Halved,
        STEPS,
        expected_failures={"batch_independence": "it halves all samples as often as the largest"},
        name="halved",
    ),
]


@parametrize_checks(QUICK)
def test_it_does_the_same_in_every_mode(case, check):
    check(case)


@pytest.mark.slow
@parametrize_checks(REST)
def test_it_does_the_same_in_every_mode_in_other_cases(case, check):
    check(case)


def test_without_it_keras_3_cannot_trace_the_layer():
    report = check_layer(LayerCase(Plain, VECTORS), checks=["eager_only"], on_fail="report")
    assert report.passed == _keras.AUTOGRAPH


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_a_loop_with_a_bound_trains_in_xla_too(mode):
    @autograph_call
    class Bounded(keras.layers.Layer):
        def build(self, input_shape):
            self.weight = self.add_weight(name="weight", shape=(4,), initializer="ones")
            self.built = True

        def call(self, inputs):
            while tf.norm(inputs) > 1.0:
                tf.autograph.experimental.set_loop_options(maximum_iterations=30)
                inputs = inputs * 0.7 * self.weight
            return inputs

    assert_equal_to_eager(Bounded, mode)


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
    for mode in ("graph", "xla"):
        assert_equal_to_eager(Derived, mode)


def test_a_call_that_overrides_a_decorated_one_is_as_keras_has_it():
    class Overriding(Branching):
        def call(self, inputs, training=None):
            return super().call(inputs, training=training) + 1.0  # which is converted

    assert_equal_to_eager(Overriding, "graph")


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


def test_dropout_masks_in_a_loop_are_fresh_in_each_step():
    @autograph_call
    class Noise(keras.layers.Layer):
        def build(self, input_shape):
            self.noise = layers.BatchNormDropout(rate=0.5, seed=1, activation=None)
            self.noise.build(input_shape)
            self.built = True

        def call(self, inputs, training=None):
            for _ in tf.range(1):
                inputs = self.noise(inputs, training=training)
            return inputs

    layer = Noise()
    function = tf.function(lambda x: layer(x, training=True))
    inputs = np.random.default_rng(0).normal(size=(8, 16)).astype("float32")
    masks = {np.asarray(function(inputs) == 0).tobytes() for _ in range(4)}
    assert len(masks) == 4


def test_building_a_functional_model_moves_no_state():
    layer = Branching()
    outputs = layer(keras.Input((4,)), training=True)
    assert outputs.shape == (None, 4)
    assert float(tf.convert_to_tensor(layer.steps)) == 0.0
    model = keras.Sequential([layer])
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(VECTORS, VECTORS, batch_size=6, verbose=0)
    assert float(tf.convert_to_tensor(layer.steps)) == 1.0


def test_a_model_can_be_decorated_saved_and_exported(tmp_path):
    model = Net()
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(VECTORS, VECTORS[:, :1], verbose=0)
    model.save(tmp_path / "model.keras")
    wanted = model.predict(VECTORS, verbose=0)
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(VECTORS, verbose=0), wanted, rtol=1e-6)
    model.export(str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(loaded.serve(VECTORS), wanted, rtol=1e-6)
    assert keras.utils.get_registered_name(Net) == "tests>Net"


@keras.utils.register_keras_serializable("tests")
@autograph_call
class Net(keras.Model):
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
    assert pickle.loads(pickle.dumps(Net)) is Net
    assert pickle.loads(pickle.dumps(Net.call)) is Net.call
    layer = Branching()
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


def test_it_is_traced_once():
    traces = []

    @autograph_call
    class Traced(keras.layers.Layer):
        def call(self, inputs):
            traces.append(1)
            if tf.reduce_sum(inputs) > 0:
                inputs = inputs + 1.0
            return inputs

    function = tf.function(Traced())
    for _ in range(3):
        function(tf.ones((2, 3)))
    assert len(traces) == 1


def from_exec():
    namespace = {}
    exec("def call(self, inputs):\n    return inputs\n", namespace)
    return namespace["call"]


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (3, TypeError, "`target` must be a layer class, or its `call`. Received: target=3"),
        (type("Empty", (keras.layers.Layer,), {}), ValueError, "a class that defines `call`"),
        (lambda self, inputs: inputs, ValueError, "made by `def` in a file or a notebook"),
        (from_exec(), ValueError, "made by `def` in a file or a notebook"),
        (tf.function(Plain.call), TypeError, "take `@tf.function` away"),
        (keras.layers.Dense(1), TypeError, "a plain function"),
    ],
    ids=["number", "no_call", "lambda", "exec", "tf_function", "layer"],
)
def test_what_it_cannot_take(target, error, message):
    with pytest.raises(error, match=message):
        autograph_call(target)
