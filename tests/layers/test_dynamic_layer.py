"""DynamicLayer against oracles: values, gradients, structures, dtypes, promised shapes, errors."""

import traceback

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers import oracles
from tests.layers.cases import STEPS, VECTORS
from tests.layers.dynamic_layers import (
    Counted,
    Folded,
    Matched,
    Shrunk,
    assert_equal_steps,
    folded,
    shrunk,
    step,
    weighed,
)
from tfk_patterns.layers import DynamicLayer

CLOSE = {"rtol": 1e-5, "atol": 1e-6}
LARGE = 3.0 * VECTORS
each_mode = pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])


class Returns(DynamicLayer):
    """Returns what a function makes of the inputs, and promises what it is told to."""

    def __init__(self, function, shape, dtypes=None, **kwargs):
        super().__init__(**kwargs)
        self.function = function
        self.shape = shape
        if dtypes is not None:
            self.output_dtypes = dtypes

    def compute_output_shape(self, input_shape):
        return self.shape(input_shape)

    def call(self, inputs):
        return self.function(inputs)


@each_mode
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_recursion(graph, dtype):
    layer = Folded(dtype=dtype)
    outputs, _, (of_inputs, of_weights) = step(layer, STEPS.astype(dtype), graph=graph)
    kernel, bias = (np.asarray(w, np.float64) for w in layer.get_weights())
    assert outputs.dtype == dtype
    np.testing.assert_allclose(outputs, folded(STEPS, kernel, bias), **CLOSE)

    def total(inputs=STEPS, kernel=kernel, bias=bias):
        return float(tf.reduce_sum(weighed(folded(np.asarray(inputs, float), kernel, bias))))

    for gradient, (name, value) in zip(
        [*of_inputs, *of_weights],
        {"inputs": STEPS, "kernel": kernel, "bias": bias}.items(),
        strict=True,
    ):
        expected = oracles.numeric_gradient(lambda x, name=name: total(**{name: x}), value)
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


@each_mode
def test_a_loop_over_values(graph):
    layer = Shrunk(limit=1.3)
    outputs, _, ((of_inputs,), (of_factor,)) = step(layer, LARGE, graph=graph)
    expected, counts = shrunk(LARGE, np.float64(np.float32(0.7)), 1.3)
    assert counts.min() < counts.max()
    np.testing.assert_allclose(outputs, expected, **CLOSE)
    cotangents = weighed(np.ones(LARGE.shape)).numpy()
    powers = 0.7 ** counts[:, np.newaxis]
    np.testing.assert_allclose(of_inputs, cotangents * powers, **CLOSE)
    slope = (cotangents * LARGE * (counts * 0.7 ** (counts - 1.0))[:, np.newaxis]).sum()
    np.testing.assert_allclose(of_factor, slope, rtol=1e-5)


@each_mode
def test_a_library_and_several_inputs(graph):
    order = np.array([3, 0, 2, 1, 4])
    targets = STEPS[:, order] + 0.01
    outputs, _, ((of_points, of_targets), _) = step(Matched(), [STEPS, targets], graph=graph)
    np.testing.assert_array_equal(outputs, STEPS[:, order])
    expected = weighed(np.ones(STEPS.shape)).numpy()[:, np.argsort(order)]
    np.testing.assert_allclose(of_points, expected, rtol=1e-6)
    assert not np.any(of_targets)


@each_mode
def test_integers_in_and_out(graph):
    numbers = np.array([[0, 1, 1, 3], [2, 2, 2, 2]])
    outputs, _, _ = step(Counted(), numbers, graph=graph)
    assert outputs.dtype == tf.int64
    np.testing.assert_array_equal(outputs, [[1, 2, 0, 1], [0, 0, 4, 0]])


@each_mode
def test_dicts_of_several_dtypes_in_and_out(graph):
    layer = Returns(
        lambda x: {
            "sum": x["a"] + tf.cast(x["b"], tf.float32),
            "pair": (np.argmax(x["a"], axis=1), [x["a"] > 0]),
        },
        lambda shape: {
            "sum": shape["a"],
            "pair": ((shape["a"][0],), [tuple(shape["a"])]),
        },
        {"sum": "float32", "pair": ("int32", ["bool"])},
    )
    inputs = {"a": VECTORS, "b": np.arange(24).reshape(6, 4)}
    outputs, _, ((of_a,), _) = step(layer, inputs, graph=graph)
    assert isinstance(outputs["pair"], tuple)
    assert isinstance(outputs["pair"][1], list)
    np.testing.assert_allclose(outputs["sum"], inputs["a"] + inputs["b"], rtol=1e-6)
    np.testing.assert_array_equal(outputs["pair"][0], VECTORS.argmax(axis=1))
    np.testing.assert_array_equal(outputs["pair"][1][0], VECTORS > 0)
    assert [x.dtype for x in tf.nest.flatten(outputs)] == [tf.int32, tf.bool, tf.float32]
    # `tf.nest` sorts the keys of a dict: first the two of "pair", which carry no gradient
    np.testing.assert_allclose(of_a, weighed(np.ones((6, 4))), rtol=1e-6)


@each_mode
def test_an_output_that_is_an_input_and_one_that_is_constant(graph):
    layer = Returns(lambda x: [x, np.ones((6, 4))], lambda shape: [tuple(shape)] * 2)
    (same, constant), _, ((of_inputs,), _) = step(layer, VECTORS, graph=graph)
    np.testing.assert_array_equal(same, VECTORS)
    np.testing.assert_array_equal(constant, np.ones((6, 4)))
    assert constant.dtype == tf.float32
    np.testing.assert_allclose(of_inputs, weighed(np.ones((6, 4))), rtol=1e-6)


@each_mode
def test_ragged_inputs(graph):
    """Where Keras takes them, `call` gets them."""
    ragged = tf.ragged.constant([[1.0, 2.0], [3.0], [4.0, 5.0, 6.0]])
    layer = Returns(
        lambda x: np.array([max(row) for row in x.to_list()]), lambda shape: (shape[0],)
    )
    run = tf.function(layer) if graph else layer
    np.testing.assert_array_equal(run(ragged), [2.0, 3.0, 6.0])


@each_mode
def test_gradients_to_the_values_of_ragged_inputs(graph):
    ragged = tf.ragged.constant([[1.0, 2.0], [3.0], [4.0, 5.0, 6.0]])
    layer = Returns(lambda x: tf.reduce_sum(x**2, axis=1), lambda shape: (shape[0],))

    def run(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            outputs = layer(ragged.with_flat_values(values))
            total = tf.reduce_sum(outputs * [1.0, 10.0, 100.0])
        return tape.gradient(total, values)

    gradient = (tf.function(run) if graph else run)(ragged.flat_values)
    np.testing.assert_allclose(gradient, [2.0, 4.0, 60.0, 800.0, 1000.0, 1200.0])


@each_mode
@pytest.mark.parametrize("size", [0, 1])
def test_batches_of_none_and_one(graph, size):
    for layer, inputs in ((Folded(), STEPS[:size]), (Shrunk(), LARGE[:size])):
        outputs, _, (_, of_weights) = step(layer, inputs, graph=graph)
        assert outputs.shape == (size, inputs.shape[-1])
        if size == 0:
            assert not any(np.any(gradient) for gradient in of_weights)


@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("global_policy", [False, True])
def test_precisions_are_those_of_eager_mode(dtype, global_policy):
    """On whatever thread: Keras 3 keeps the policy, the autocast and the call for each thread."""
    seen = []

    class Inner(keras.layers.Layer):
        def call(self, inputs):
            seen.append((inputs.dtype, self.compute_dtype, keras.mixed_precision.global_policy()))
            return inputs

    class Doubled(DynamicLayer):
        def build(self, input_shape):
            self.inner = Inner(dtype=None if global_policy else dtype)
            self.scale = self.add_weight(name="scale", shape=(4,), initializer="ones")
            self.built = True

        def compute_output_shape(self, input_shape):
            return tuple(input_shape)

        def call(self, inputs):
            scale = tf.convert_to_tensor(self.scale)
            seen.append((inputs.dtype, scale.dtype, keras.mixed_precision.global_policy()))
            return self.inner(inputs) * scale

    before = keras.mixed_precision.global_policy()
    if global_policy:
        keras.mixed_precision.set_global_policy(dtype)
    try:
        layer = Doubled(dtype=None if global_policy else dtype)
        steps = [step(layer, VECTORS, graph=graph) for graph in (False, True)]
    finally:
        keras.mixed_precision.set_global_policy(before)
    assert_equal_steps(steps[1], steps[0], rtol=0, atol=0)
    compute = dtype.removeprefix("mixed_")
    assert all(x == compute and y == compute for x, y, _ in seen)
    names = {policy.name for _, _, policy in seen}
    assert names == ({dtype} if global_policy else {before.name})


@each_mode
@pytest.mark.parametrize(
    ("promised", "came"),
    [((6, 3), "(6, 4)"), ((None, 4, 1), "(6, 4)"), ((), "(6, 4)")],
)
def test_another_shape_than_promised(graph, promised, came):
    layer = Returns(lambda x: x, lambda _: promised, name="liar")
    with pytest.raises(Exception, match="compute_output_shape") as caught:
        (tf.function(layer) if graph else layer)(VECTORS)
    assert came in str(caught.value)
    assert str(promised) in str(caught.value)
    assert not graph or "liar" in str(caught.value)


@each_mode
@pytest.mark.parametrize(
    ("returned", "promised"),
    [
        (lambda x: [x, x], lambda shape: tuple(shape)),
        (lambda x: x, lambda shape: [tuple(shape)] * 2),
        (lambda x: {"a": x}, lambda shape: {"b": tuple(shape)}),
        (lambda x: (x, x, x), lambda shape: (tuple(shape), tuple(shape))),
        (lambda x: None, lambda shape: tuple(shape)),
        (lambda x: [["word"]], lambda shape: [[tuple(shape)]]),
    ],
    ids=["more", "less", "other_keys", "other_length", "nothing", "words"],
)
def test_another_structure_than_promised(graph, returned, promised):
    layer = Returns(returned, promised)
    with pytest.raises(Exception, match="compute_output_shape"):
        (tf.function(layer) if graph else layer)(VECTORS)


@each_mode
def test_containers_are_the_promised_ones(graph):
    layer = Returns(lambda x: [x, (x, x)], lambda shape: (tuple(shape), [tuple(shape)] * 2))
    outputs = (tf.function(layer) if graph else layer)(VECTORS)
    assert isinstance(outputs, tuple)
    assert isinstance(outputs[1], list)


class MyError(Exception):
    pass


def fails(inputs):
    raise MyError("the third row is wrong")  # this very line is looked for


@each_mode
@pytest.mark.parametrize("where", ["function", "fit"])
def test_errors_have_the_line_of_the_user(graph, where):
    layer = Returns(fails, tuple, dynamic="island" if graph else True)
    if where == "fit":
        inputs = keras.Input((4,))
        model = keras.Model(inputs, layer(inputs))
        model.compile("sgd", "mse", run_eagerly=not graph)

        def run(inputs):
            return model.fit(inputs, inputs, verbose=0)
    else:
        run = tf.function(layer) if graph else layer
    with pytest.raises(Exception, match="the third row is wrong") as caught:
        run(VECTORS)
    text = "".join(traceback.format_exception(caught.value))
    assert "this very line is looked for" in text
    assert "MyError" in text


@each_mode
def test_an_iterator_that_ends_in_call_has_the_line_of_the_user(graph):
    def draws(inputs):
        return inputs * next(iter([]))  # this very line is looked for

    inputs = keras.Input((4,))
    layer = Returns(draws, lambda shape: tuple(shape), dynamic="island" if graph else True)
    model = keras.Model(inputs, keras.layers.Dense(1)(layer(inputs)))
    model.compile("sgd", "mse", run_eagerly=not graph)
    with pytest.raises(Exception, match="StopIteration") as caught:
        model.fit(VECTORS, VECTORS[:, :1], verbose=0)
    text = "".join(traceback.format_exception(caught.value))
    assert "this very line is looked for" in text


def test_errors_of_the_gradient_surface():
    @tf.custom_gradient
    def wrong(x):
        def gradient(upstream):
            raise MyError("no such gradient")

        return tf.identity(x), gradient

    with pytest.raises(Exception, match="no such gradient"):
        step(Returns(wrong, tuple), VECTORS, graph=True)


def test_after_an_error_the_function_runs_again():
    layer = Returns(lambda x: x if np.all(np.isfinite(x)) else fails(x), lambda shape: tuple(shape))
    function = tf.function(lambda x: step(layer, x, graph=False))
    good = function(VECTORS)
    with pytest.raises(Exception, match="the third row"):
        function(VECTORS * np.inf)
    assert_equal_steps(function(VECTORS), good, rtol=0, atol=0)


def test_what_is_promised_in_a_graph():
    """The static shape in a `tf.function` is that of `compute_output_shape`, sizes merged."""
    shapes = []
    layer = Folded()
    layer.build((None, 5, 3))

    @tf.function(input_signature=[tf.TensorSpec([None, 5, 3])])
    def run(inputs):
        outputs = layer(inputs)
        shapes.append(outputs.shape.as_list())
        return outputs

    run(STEPS)
    assert shapes == [[None, 3]]
