"""TreeLSTM against the paper's equations: values, gradients, masks, errors; both ways alike."""

import functools
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers import oracles
from tfk_patterns.layers import MaskedPooling1D, TreeLSTM

FEATURES, UNITS = 3, 4
CLOSE = {"rtol": 1e-5, "atol": 1e-6}
EXACT = {"rtol": 1e-10, "atol": 1e-10}
# float16 rounds the inputs and the outputs, and nothing between.
HALF = {"rtol": 5e-3, "atol": 5e-3}


def random_forest(rng, nodes):
    """Parents of trees whose nodes are in random order, now and then a root."""
    order = rng.permutation(nodes)
    parents = np.full(nodes, -1)
    for place in range(1, nodes):
        if rng.random() < 0.85:
            parents[order[place]] = order[rng.integers(max(0, place - 4), place)]
    return parents


def padded(*trees):
    """Parents and mask of trees of different sizes."""
    mask = np.zeros((len(trees), max(map(len, trees))), bool)
    parents = np.full(mask.shape, 77)  # which is no node: nothing may read it
    for sample, tree in enumerate(trees):
        mask[sample, : len(tree)] = True
        parents[sample, : len(tree)] = tree
    return parents, mask


def with_gaps(parents, gaps):
    """The same trees with masked nodes here and there between their nodes."""
    places = np.setdiff1d(np.arange(len(parents) + len(gaps)), gaps)
    wide = np.full(len(parents) + len(gaps), -99)
    wide[places] = np.where(parents < 0, -1, places[parents])
    return wide, np.isin(np.arange(len(wide)), places)


def forests():
    rng = np.random.default_rng(0)
    gaps = [with_gaps(random_forest(rng, 9), gaps) for gaps in ([0, 1, 5], [3, 10, 11])]
    return {
        "random": (np.stack([random_forest(rng, 11) for _ in range(3)]), None),
        "sizes": padded(*(random_forest(rng, size) for size in (1, 12, 0, 5))),
        "gaps": tuple(np.stack(arrays) for arrays in zip(*gaps, strict=True)),
        "chains": padded([-1, 0, 1, 2, 3], [1, 2, 3, -1]),
        "stars": padded([-1, 0, 0, 0, 0, 0], [2, 2, -1, 2]),
        "single_nodes": (np.full((3, 1), -1), None),
        "leaves_alone": (np.full((2, 4), -1), None),
        "masked": (np.full((2, 3), 5), np.zeros((2, 3), bool)),
        "no_nodes": (np.zeros((2, 0), int), None),
        "no_samples": (np.zeros((0, 3), int), None),
    }


FORESTS = forests()
each_forest = pytest.mark.parametrize("name", FORESTS)
few_forests = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("sizes", "gaps") else pytest.mark.slow)
        for name in FORESTS
    ],
)
each_way = pytest.mark.parametrize("dynamic", [True, False])
in_each_mode_slow_graph = pytest.mark.parametrize(
    "mode", ["eager", pytest.param("graph", marks=pytest.mark.slow)]
)
in_each_mode = pytest.mark.parametrize("mode", ["eager", "graph"])


def made(dynamic=False, return_nodes=True, **kwargs):
    """A layer with weights that are all different from zero."""
    layer = TreeLSTM(UNITS, return_nodes, dynamic, **kwargs)
    layer.build([(None, None, FEATURES), (None, None)])
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(size=weight.shape) * 0.7 for weight in layer.get_weights()])
    return layer


def features_for(parents, mask, dtype="float32"):
    """Features, NaN where masked."""
    features = np.random.default_rng(2).normal(size=(*parents.shape, FEATURES)).astype(dtype)
    if mask is not None:
        features[~mask] = np.nan
    return features


def expected(layer, features, parents, mask):
    states = oracles.tree_lstm(features, parents, mask, *layer.get_weights())
    return states if layer.return_nodes else oracles.tree_lstm_of_roots(parents, mask, states)


def call(layer, mode, *args):
    def run(features, parents, mask=None):
        return layer([features, parents], mask=mask)

    args = [tf.constant(arg) for arg in args if arg is not None]
    return (tf.function(run) if mode == "graph" else run)(*args)


@functools.cache
def runner(dynamic, return_nodes, dtype, mode):
    """A layer, and what gives its outputs and, for a cotangent, the gradients of all sources.

    In a graph, one trace for all forests: no dimension but the features is known.
    """
    layer = made(dynamic, return_nodes, dtype=dtype)
    cotangent_rank = 3 if return_nodes else 2

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, FEATURES], dtype),
            tf.TensorSpec([None, None], tf.int64),
            tf.TensorSpec([None, None], tf.bool),
            tf.TensorSpec([None] * cotangent_rank, dtype),
        ]
    )
    def in_graph(features, parents, mask, cotangent):
        with tf.GradientTape() as tape:
            tape.watch(features)
            outputs = layer([features, parents], mask=mask)
            target = tf.reduce_sum(outputs * cotangent)
        return outputs, tape.gradient(target, [features, *variables_of(layer)])

    def run(features, parents, mask, cotangent):
        if mode == "graph":
            mask = np.ones(parents.shape, bool) if mask is None else mask
            outputs, found = in_graph(features, parents, mask, cotangent)
        else:
            args = tf.constant(features), parents, mask, cotangent
            outputs, found = in_graph.python_function(*args)
        return outputs, [np.asarray(tf.convert_to_tensor(one)) for one in found]

    return layer, run


def variables_of(layer):
    return [w if isinstance(w, tf.Variable) else w.value for w in layer.trainable_weights]


def cotangent_for(parents, return_nodes):
    shape = parents.shape if return_nodes else parents.shape[:1]
    return np.random.default_rng(3).normal(size=(*shape, UNITS))


@each_forest
@each_way
def test_states_of_roots(name, dynamic):
    parents, mask = FORESTS[name]
    layer, features = made(dynamic, return_nodes=False), features_for(parents, mask)
    outputs = call(layer, "eager", features, parents, mask)
    assert outputs.dtype == tf.float32
    np.testing.assert_allclose(outputs, expected(layer, features, parents, mask), **CLOSE)


@each_way
@in_each_mode_slow_graph
@pytest.mark.parametrize("dtype", ["float64", "mixed_float16", "mixed_bfloat16"])
def test_precisions(dynamic, mode, dtype):
    parents, mask = FORESTS["gaps"]
    layer, features = made(dynamic, dtype=dtype), features_for(parents, mask, "float64")
    outputs = call(layer, mode, features, parents, mask)
    assert outputs.dtype == layer.compute_dtype
    tolerance = {"float64": EXACT, "mixed_float16": HALF, "mixed_bfloat16": {"atol": 4e-2}}[dtype]
    found = np.asarray(tf.cast(outputs, tf.float64))
    np.testing.assert_allclose(found, expected(layer, features, parents, mask), **tolerance)


@each_forest
@pytest.mark.parametrize(
    ("dynamic", "mode"),
    [
        (True, "eager"),
        (False, "eager"),
        (False, "graph"),
        pytest.param(True, "graph", marks=pytest.mark.slow),
    ],
)
def test_gradients_are_the_differences_of_the_oracle(name, dynamic, mode):
    """Along a random direction for each source, in float64."""
    parents, mask = FORESTS[name]
    layer, run = runner(dynamic, True, "float64", mode)
    features, cotangent = features_for(parents, mask, "float64"), cotangent_for(parents, True)
    outputs, found = run(features, parents, mask, cotangent)
    np.testing.assert_allclose(outputs, expected(layer, features, parents, mask), **EXACT)
    sources = [features, *layer.get_weights()]
    rng = np.random.default_rng(4)
    for place, gradient in enumerate(found):
        direction, step = rng.normal(size=gradient.shape), 1e-5
        targets = []
        for sign in (1, -1):
            moved = list(sources)
            moved[place] = moved[place] + sign * step * direction
            states = oracles.tree_lstm(moved[0], parents, mask, *moved[1:])
            targets.append(np.sum(states * cotangent))
        difference = (targets[0] - targets[1]) / (2 * step)
        np.testing.assert_allclose(np.sum(gradient * direction), difference, rtol=1e-7, atol=1e-8)
    if mask is not None:
        assert not found[0][~mask].any()


@few_forests
@in_each_mode
@pytest.mark.parametrize(
    ("dtype", "return_nodes", "tolerance"),
    [
        ("float32", False, CLOSE),
        pytest.param("float64", True, EXACT, marks=pytest.mark.slow),
        pytest.param("float32", True, CLOSE, marks=pytest.mark.slow),
        pytest.param("float64", False, EXACT, marks=pytest.mark.slow),
    ],
)
def test_both_ways_agree(name, mode, return_nodes, dtype, tolerance):
    parents, mask = FORESTS[name]
    features = features_for(parents, mask, dtype)
    cotangent = cotangent_for(parents, return_nodes).astype(dtype)
    (wanted, wanted_gradients), (found, found_gradients) = (
        runner(dynamic, return_nodes, dtype, mode)[1](features, parents, mask, cotangent)
        for dynamic in (True, False)
    )
    np.testing.assert_allclose(found, wanted, **tolerance)
    for one, other in zip(found_gradients, wanted_gradients, strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


def model_around(layer, masked):
    """Features with 9 in the masked nodes, and parents, to one number for each sample."""
    inputs = [keras.Input((None, FEATURES)), keras.Input((None,), dtype="int32")]
    features = keras.layers.Masking(mask_value=9.0)(inputs[0]) if masked else inputs[0]
    x = layer([features, inputs[1]])
    if layer.return_nodes:
        x = MaskedPooling1D("max")(x)
    model = keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="ones")(x))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


@pytest.mark.parametrize(
    ("name", "return_nodes"),
    [pytest.param("random", False, marks=pytest.mark.slow), ("sizes", True)],
)
def test_both_ways_train_alike(name, return_nodes):
    parents, mask = FORESTS[name]
    features = np.nan_to_num(features_for(parents, mask), nan=9.0)
    models = [
        model_around(made(dynamic, return_nodes), mask is not None)
        for dynamic in (True, False, "island")
    ]
    data = [features, parents], np.ones((len(parents), 1), "float32")
    losses = [
        model.fit(*data, batch_size=2, epochs=2, shuffle=False, verbose=0).history["loss"]
        for model in models
    ]
    assert losses[0][1] < losses[0][0]
    for other, its_losses in zip(models[1:], losses[1:], strict=True):
        np.testing.assert_allclose(its_losses, losses[0], **CLOSE)
        for one, two in zip(models[0].get_weights(), other.get_weights(), strict=True):
            np.testing.assert_allclose(two, one, **CLOSE)


@pytest.mark.parametrize(
    "dynamic", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["graph", "python"]
)
def test_a_chain_deeper_than_pythons_stack(dynamic):
    nodes, limit = 3000, sys.getrecursionlimit()
    assert nodes > limit
    parents = np.arange(-1, nodes - 1)[np.newaxis]
    layer, run = runner(dynamic, True, "float64", "graph")
    features = features_for(parents, None, "float64")
    outputs, found = run(features, parents, None, cotangent_for(parents, True))
    assert sys.getrecursionlimit() == limit
    # A chain's equations are those of a sequence, from its end.
    w, u, b = layer.get_weights()
    h = c = np.zeros(UNITS)
    for node in reversed(range(nodes)):
        i, o, update, f = np.split(features[0, node] @ w + h @ u + b, 4)
        i, o, f = (1 / (1 + np.exp(-gate)) for gate in (i, o, f))
        c = i * np.tanh(update) + f * c
        h = o * np.tanh(c)
        np.testing.assert_allclose(outputs[0, node], h, **EXACT)
    assert all(np.isfinite(gradient).all() and gradient.any() for gradient in found)


@pytest.mark.parametrize("count", [1, 2])
@each_way
def test_masks_are_joined_and_passed_on(count, dynamic):
    parents, mask = FORESTS["gaps"]
    layer, features = made(dynamic), features_for(parents, mask)
    masks = [mask, None] if count == 1 else [mask | (parents == -99), mask]
    wanted = expected(layer, features, parents, mask)
    np.testing.assert_allclose(layer([features, parents], mask=masks), wanted, **CLOSE)
    np.testing.assert_array_equal(layer.compute_mask([features, parents], masks), mask)
    assert layer.compute_mask([features, parents], [None, None]) is None
    assert made(dynamic, return_nodes=False).compute_mask([features, parents], masks) is None


def test_a_functional_model_passes_the_mask_on():
    inputs = [keras.Input((None, FEATURES)), keras.Input((None,), dtype="int64")]
    masked = keras.layers.Masking(mask_value=9.0)(inputs[0])
    states = TreeLSTM(UNITS, return_nodes=True, dynamic=False)([masked, inputs[1]])
    model = keras.Model(inputs, [states, MaskedPooling1D("sum")(states)])
    parents, mask = FORESTS["gaps"]
    features = np.nan_to_num(features_for(parents, mask), nan=9.0)
    states, sums = model.predict([features, parents], verbose=0)
    assert not states[~mask].any()
    np.testing.assert_allclose(sums, states.sum(axis=1), **CLOSE)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_integers_of_any_size(dtype):
    parents, _ = FORESTS["random"]
    layer, features = made(), features_for(parents, None)
    wanted = expected(layer, features, parents, None)
    np.testing.assert_allclose(layer([features, parents.astype(dtype)]), wanted, **CLOSE)


BAD = {
    "out_of_range": ([[-1, 0, 0], [-1, 0, 3]], None, "parent 3 at sample 1, node 2, which is out"),
    "below_minus_1": ([[-1, 0, -2]], None, "parent -2 at sample 0, node 2, which is out of range"),
    "itself": ([[-1, 0, 0], [-1, 1, 0]], None, "parent 1 at sample 1, node 1, which is the node i"),
    "masked": ([[-1, 0, 1]], [[1, 0, 1]], "parent 1 at sample 0, node 2, which is masked"),
    "cycle": ([[-1, 2, 3, 1]], None, "parent 2 at sample 0, node 1, which is on a cycle"),
    "below_a_cycle": ([[1, 2, 1, -1]], None, "parent 2 at sample 0, node 1, which is on a cycle"),
    "no_root": ([[1, 0]], None, "parent 1 at sample 0, node 0, which is on a cycle"),
}


@pytest.mark.parametrize(("parents", "mask", "message"), BAD.values(), ids=BAD)
@each_way
@in_each_mode
def test_what_is_no_tree(parents, mask, message, dynamic, mode):
    parents, mask = np.array(parents), None if mask is None else np.array(mask, bool)
    _, run = runner(dynamic, True, "float32", mode)
    error = ValueError if mode == "eager" else tf.errors.InvalidArgumentError
    with pytest.raises(error, match=message):
        run(features_for(parents, None), parents, mask, cotangent_for(parents, True))


@each_way
def test_what_is_no_tree_in_fit(dynamic):
    parents = np.array([[-1, 0, 0], [2, 0, 1]])
    model = model_around(made(dynamic, return_nodes=False), masked=False)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="at sample 1, node 0"):
        model.fit([features_for(parents, None), parents], np.ones((2, 1)), verbose=0)


@in_each_mode
def test_a_gradient_is_not_differentiated_again(mode):
    parents, _ = FORESTS["random"]
    layer = made()

    @tf.function
    def twice(features):
        with tf.GradientTape() as outer:
            outer.watch(features)
            with tf.GradientTape() as inner:
                inner.watch(features)
                target = tf.reduce_sum(layer([features, parents]))
            gradient = inner.gradient(target, features)
        return outer.gradient(gradient, features)

    run, error = twice, tf.errors.InvalidArgumentError
    if mode == "eager":
        run, error = twice.python_function, NotImplementedError
    with pytest.raises(error, match="cannot be differentiated again"):
        run(tf.constant(features_for(parents, None)))


def test_a_first_gradient_through_a_function_that_returns_gradients():
    """Whose second ones TensorFlow traces, and runs on zeros."""
    parents, _ = FORESTS["random"]
    layer = made()

    @tf.function
    def value_and_gradient(features):
        with tf.GradientTape() as tape:
            tape.watch(features)
            target = tf.reduce_sum(layer([features, parents]) ** 2)
        return target, tape.gradient(target, features)

    features = tf.constant(features_for(parents, None))
    with tf.GradientTape() as tape:
        tape.watch(features)
        target, gradient = value_and_gradient(features)
        doubled = 2 * target
    np.testing.assert_allclose(tape.gradient(doubled, features), 2 * gradient, **CLOSE)


@few_forests
def test_gradients_taken_outside_of_the_function(name):
    parents, mask = FORESTS[name]
    layer, features = made(), features_for(parents, mask)
    found = []
    for run in (layer, tf.function(layer)):
        with tf.GradientTape() as tape:
            tensor = tf.constant(features)
            tape.watch(tensor)
            target = tf.reduce_sum(run([tensor, parents], mask=mask) ** 2)
        found.append(tape.gradient(target, [tensor, *variables_of(layer)]))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, **CLOSE)


@pytest.mark.slow
def test_a_saved_model_learns(tmp_path):
    parents, mask = FORESTS["sizes"]
    features = np.nan_to_num(features_for(parents, mask))
    layer = made()

    class Module(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None, FEATURES]),
                tf.TensorSpec([None, None], tf.int64),
                tf.TensorSpec([None, None], tf.bool),
            ]
        )
        def __call__(self, features, parents, mask):
            return layer([features, parents], mask=mask)

    module = Module()
    module.variables_of_layer = variables_of(layer)
    tf.saved_model.save(module, str(tmp_path))
    gradients = []
    for run in (module, tf.saved_model.load(str(tmp_path))):
        with tf.GradientTape() as tape:
            tensor = tf.constant(features)
            tape.watch(tensor)
            outputs = run(tensor, parents, mask)
        gradients.append(tape.gradient(outputs, tensor, tf.ones_like(outputs)))
    np.testing.assert_allclose(*gradients, **CLOSE)
    assert np.any(gradients[0])


@each_way
def test_xla_is_refused(dynamic):
    parents, _ = FORESTS["random"]
    layer, features = made(dynamic), features_for(parents, None)
    assert not layer.supports_jit
    with pytest.raises(NotImplementedError, match="XLA cannot compile the layer"):
        tf.function(lambda: layer([features, parents]), jit_compile=True)()


def test_weights_start_as_those_of_an_lstm():
    layer = TreeLSTM(2)
    layer([np.zeros((1, 1, 3), "float32"), np.array([[-1]])])
    kernel, recurrent_kernel, bias = layer.get_weights()
    assert kernel.shape == (3, 8)
    np.testing.assert_allclose(recurrent_kernel @ recurrent_kernel.T, np.eye(2), atol=1e-6)
    assert bias.tolist() == 6 * [0.0] + 2 * [1.0]
