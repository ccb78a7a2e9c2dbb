"""DynamicLayer in a graph does with state, randomness, losses, metrics and masks what eager does.

The oracle is the same layer in eager mode, and the same `call` as an ordinary layer, traced.
"""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers.cases import MASK, STEPS, VECTORS
from tests.layers.dynamic_layers import (
    Everything,
    assert_equal_steps,
    give_state,
    state_of,
    step,
    stepper,
)
from tfk_patterns import _keras
from tfk_patterns.layers import DynamicLayer

CLOSE = {"rtol": 2e-5, "atol": 2e-6}
CUT, CUT_MASK = STEPS[:, :3], MASK[:, :3]
each_mode = pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])


class Same(DynamicLayer):
    """Of the shape of its inputs."""

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)


def twins(dynamic=True, **arguments):
    """Two layers in equal states; the first as it is by default."""
    first, second = Everything(**arguments), Everything(dynamic=dynamic, **arguments)
    for layer in (first, second):
        layer.build((None, 3, 3))
    give_state(first, second)
    return first, second


@pytest.mark.parametrize("keras_dropout", [False, True], ids=["ours", "keras"])
@pytest.mark.parametrize("mask", [None, CUT_MASK], ids=["unmasked", "masked"])
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_steps_equal_those_of_eager_mode(training, mask, keras_dropout):
    eager, graph = twins(keras_dropout=keras_dropout)
    mask = None if mask is None else tf.constant(mask)
    before = state_of(eager)
    steppers = [
        stepper(layer, graph=layer is graph, training=training, mask=mask)
        for layer in (eager, graph)
    ]
    for seed in range(3):
        steps = []
        for run in steppers:
            keras.utils.set_random_seed(seed)  # Keras 2's dropout draws from the global state
            steps.append(run(tf.constant(CUT + seed)))
        assert_equal_steps(steps[1], steps[0], **CLOSE)
        assert abs(float(steps[0][1])) > 1e-4
    for actual, expected in zip(state_of(graph), state_of(eager), strict=True):
        np.testing.assert_allclose(actual, expected, **CLOSE)
    moved = [np.any(a != b) for a, b in zip(before, state_of(eager), strict=True)]
    assert any(moved) == training
    assert float(tf.convert_to_tensor(graph.calls)) == (3 if training else 0)


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_steps_equal_those_of_an_ordinary_layer(training):
    island, traced = twins(dynamic=False)
    steppers = [
        stepper(layer, graph=True, training=training, mask=tf.constant(CUT_MASK))
        for layer in (island, traced)
    ]
    for _ in range(3):
        actual, expected = (run(tf.constant(CUT)) for run in steppers)
        assert_equal_steps(actual, expected, **CLOSE)
    for actual, expected in zip(state_of(island), state_of(traced), strict=True):
        np.testing.assert_allclose(actual, expected, **CLOSE)


@pytest.mark.parametrize("dtype", ["float64", "mixed_float16", "mixed_bfloat16"])
def test_precisions_of_everything(dtype):
    eager, graph = twins(dtype=dtype)
    inputs = CUT.astype("float64") if dtype == "float64" else CUT
    expected = step(eager, inputs, graph=False)
    actual = step(graph, inputs, graph=True)
    assert_equal_steps(actual, expected, rtol=1e-6, atol=1e-6)
    for one, other in zip(state_of(graph), state_of(eager), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def test_variables_read_after_the_call_have_moved():
    """In one and the same graph, in the order of the program."""
    layer, _ = twins()

    @tf.function
    def run(inputs):
        before = tf.identity(tf.convert_to_tensor(layer.calls))
        layer(inputs, training=True)
        between = tf.identity(tf.convert_to_tensor(layer.calls))
        layer.calls.assign_add(10.0)
        layer(inputs, training=True)
        return before, between, tf.identity(tf.convert_to_tensor(layer.calls))

    assert [float(value) for value in run(CUT)] == [0.0, 1.0, 12.0]


def test_variables_written_before_the_call_are_read_in_it():
    class Scaled(Same):
        def build(self, input_shape):
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
            self.built = True

        def call(self, inputs):
            return inputs * float(tf.convert_to_tensor(self.scale))

    layer = Scaled()
    layer.build((None, 4))

    @tf.function
    def run(inputs):
        layer.scale.assign(3.0)
        outputs = layer(inputs)
        layer.scale.assign(5.0)
        return outputs

    for _ in range(3):
        np.testing.assert_allclose(run(VECTORS), 3 * VECTORS, rtol=1e-6)


def test_a_call_of_which_nothing_is_used_still_moves_the_state():
    layer, _ = twins()

    @tf.function
    def run(inputs):
        layer(inputs, training=True)

    for _ in range(2):
        run(CUT)
    assert float(tf.convert_to_tensor(layer.calls)) == 2.0


class Losses(Same):
    """Adds as many losses as there are positive rows."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = None

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel", shape=(4,), initializer="ones", regularizer=keras.regularizers.L2(0.5)
        )
        self.inner = keras.layers.ActivityRegularization(l1=0.01)
        self.inner.build(input_shape)
        self.built = True

    def call(self, inputs):
        for row in inputs:
            if tf.reduce_sum(row) > 0:
                self.add_loss(tf.reduce_sum(row * self.kernel))
        return self.inner(inputs)


@each_mode
def test_as_many_losses_as_the_values_say(graph):
    layer = Losses(activity_regularizer=keras.regularizers.L1(0.1))
    positive = VECTORS[VECTORS.sum(axis=1) > 0]
    for inputs in (VECTORS, -VECTORS, np.abs(VECTORS)):
        positive = inputs[inputs.sum(axis=1) > 0]
        expected = positive.sum() + 0.5 * 4
        activity = np.abs(inputs).sum()
        if _activity_is_per_sample():
            activity /= len(inputs)
        expected += (0.1 + 0.01) * activity
        _, loss, (_, (of_kernel,)) = step(layer, inputs, graph=graph)
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
        np.testing.assert_allclose(of_kernel, positive.sum(axis=0) + 1.0, rtol=1e-5, atol=1e-6)


def _activity_is_per_sample():
    """Whether this Keras divides an activity regulariser's loss by the batch: P6 of Keras."""
    layer = keras.layers.ActivityRegularization(l1=1.0)
    layer(np.ones((2, 1), "float32"))
    return float(layer.losses[0]) == 1.0


@each_mode
def test_a_layer_that_adds_no_loss_costs_none(graph):
    class Plain(Same):
        def call(self, inputs):
            return inputs

    _, loss, _ = step(Plain(), VECTORS, graph=graph)
    assert float(loss) == 0.0


@each_mode
@pytest.mark.parametrize("training", [None, False, True])
def test_training_is_handed_on(graph, training):
    """To `call`, if it takes it, and to sublayers that are called without it."""
    seen = []

    class Inner(keras.layers.Layer):
        def call(self, inputs, training=None):
            seen.append(training)
            return inputs

    class Silent(Same):
        def build(self, input_shape):
            self.inner = Inner()
            self.built = True

        def call(self, inputs):
            return self.inner(inputs)

    class Telling(Silent):
        def call(self, inputs, training=None):
            seen.append(training)
            return self.inner(inputs)

    for layer, calls in ((Silent(), 1), (Telling(), 2)):
        seen.clear()
        run = tf.function(layer) if graph else layer
        run(VECTORS, training=training)
        assert [bool(value) for value in seen] == [bool(training)] * calls
        assert all(not tf.is_tensor(value) for value in seen)


@each_mode
def test_masks_are_handed_on(graph):
    """From upstream to `call`, to sublayers, and past the layer as `compute_mask` says."""
    seen = []

    class Masked(Same):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.supports_masking = True

        def build(self, input_shape):
            self.lstm = keras.layers.LSTM(3, return_sequences=True)
            self.lstm.build((None, None, 3))
            self.built = True

        def call(self, inputs, mask=None):
            seen.append(mask.numpy())
            return self.lstm(inputs, mask=mask)

    masking, layer = keras.layers.Masking(-9.0), Masked()
    inputs = np.where(MASK[..., np.newaxis], STEPS, np.float32(-9))

    def run(inputs):
        outputs = layer(masking(inputs))
        return outputs, _keras.attached_mask(outputs)

    layer(inputs, mask=tf.constant(MASK))
    outputs, mask = (tf.function(run) if graph else run)(inputs)
    assert len(seen) == 2
    np.testing.assert_array_equal(seen[1], MASK)
    np.testing.assert_array_equal(mask, MASK)
    expected = layer.lstm(inputs, mask=tf.constant(MASK))
    np.testing.assert_allclose(outputs, expected, **CLOSE)


@each_mode
def test_several_masks_of_several_inputs(graph):
    class Two(DynamicLayer):
        def compute_output_shape(self, input_shape):
            return tuple(input_shape[0])

        def call(self, inputs, mask=None):
            one, other = inputs
            assert mask[1] is None
            return one * tf.cast(mask[0], one.dtype)[..., tf.newaxis] + other

    inputs = [tf.constant(STEPS), tf.constant(STEPS)]
    masks = [tf.constant(MASK), None]
    layer = Two()
    run = tf.function(lambda x: layer(x, mask=masks)) if graph else (lambda x: layer(x, mask=masks))
    np.testing.assert_allclose(run(inputs), STEPS * (1 + MASK[..., np.newaxis]), rtol=1e-6)


@each_mode
def test_arguments_of_call(graph):
    """Tensors and Python values, by place and by name, keep what they are; tensors learn."""

    class Affine(Same):
        def call(self, inputs, scale, mode="plus", *, shift=None):
            assert isinstance(mode, str)
            moved = inputs * scale
            return moved + shift if mode == "plus" else moved - shift

    layer, scale, shift = Affine(), tf.constant(3.0), tf.constant([1.0, 2.0, 3.0, 4.0])

    def run(inputs, scale, shift):
        with tf.GradientTape() as tape:
            tape.watch([inputs, scale, shift])
            outputs = layer(inputs, scale, mode="minus", shift=shift)
            total = tf.reduce_sum(outputs)
        return outputs, tape.gradient(total, [inputs, scale, shift])

    inputs = tf.constant(VECTORS)
    outputs, gradients = (tf.function(run) if graph else run)(inputs, scale, shift)
    np.testing.assert_allclose(outputs, 3 * VECTORS - [1, 2, 3, 4], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradients[0], np.full((6, 4), 3.0))
    np.testing.assert_allclose(gradients[1], VECTORS.sum(), rtol=1e-5)
    np.testing.assert_allclose(gradients[2], np.full(4, -6.0))


class Frozen(Same):
    """Normalises, and scales."""

    def build(self, input_shape):
        self.norm = keras.layers.BatchNormalization()
        self.norm.build(input_shape)
        self.scale = self.add_weight(name="scale", shape=(4,), initializer="ones")
        self.built = True

    def call(self, inputs, training=None):
        return self.norm(inputs, training=training) * self.scale


@each_mode
@pytest.mark.parametrize("part", ["all", "norm"])
def test_frozen_layers_keep_their_state_and_weights_but_pass_gradients_on(graph, part):
    layer = Frozen()
    layer.build((None, 4))
    (layer if part == "all" else layer.norm).trainable = False
    before = layer.get_weights()
    outputs, _, ((of_inputs,), of_weights) = step(layer, VECTORS, graph=graph)
    assert len(of_weights) == (0 if part == "all" else 1)
    assert all(np.any(gradient) for gradient in of_weights)
    np.testing.assert_allclose(outputs, VECTORS / np.sqrt(1.001), rtol=1e-5)
    assert np.all(of_inputs)
    for one, other in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_thawed_between_two_traces():
    layer = Frozen()
    layer.build((None, 4))
    layer.trainable = False
    assert step(layer, VECTORS, graph=True)[2][1] == []
    layer.trainable = True
    assert len(step(layer, VECTORS, graph=True)[2][1]) == 3


@each_mode
def test_random_numbers_of_keras_dropout_differ_from_step_to_step(graph):
    class Drop(Same):
        def build(self, input_shape):
            self.dropout = keras.layers.Dropout(0.5)
            self.built = True

        def call(self, inputs, training=None):
            return self.dropout(inputs, training=training)

    layer = Drop()
    run = tf.function(lambda x: layer(x, training=True)) if graph else layer
    ones = tf.ones((8, 8))
    drawn = [np.asarray(run(ones) if graph else run(ones, training=True)) for _ in range(4)]
    assert len({draw.tobytes() for draw in drawn}) == 4


def test_variables_that_are_no_weights_are_named():
    outside = tf.Variable(2.0)

    class Hidden(Same):
        def call(self, inputs):
            return inputs * outside

    with pytest.raises(Exception, match="was no weight of the layer"):
        step(Hidden(), VECTORS, graph=True)


def test_weights_made_in_call_get_no_gradient_silently():
    class Late(Same):
        def call(self, inputs):
            return keras.layers.Dense(4)(inputs)

    layer = Late()
    layer.build((None, 4))
    with pytest.raises(Exception, match="build sublayers, in `build`"):
        step(layer, VECTORS, graph=True)
