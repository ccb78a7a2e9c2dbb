"""DynamicLayer where few look: loops in models, mixins, variables, what `fit` takes for the end."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers.cases import STEPS, VECTORS
from tfk_patterns import _keras, layers


class Cell(layers.DynamicLayer):
    """A recurrent cell in plain Python."""

    state_size = output_size = 3

    def build(self, inputs_shape, states_shape=None):
        self.weight = self.add_weight(name="weight", shape=(3,), initializer="ones")
        self.built = True

    def call(self, inputs, states):
        (state,) = states
        state = tf.tanh(inputs * self.weight + state * float(np.float32(0.5)))
        return state, [state]

    def compute_output_shape(self, inputs_shape, states_shape=None):
        shape = (inputs_shape[0], 3)
        return shape, [shape]


def test_a_cell_trains_in_a_loop_of_the_graph():
    """A loss of the loop's body would be out of the reach of the model: there is none."""

    def trained(run_eagerly):
        keras.utils.set_random_seed(0)
        cell = Cell(dynamic="island", name="cell")
        model = keras.Sequential([keras.layers.RNN(cell), keras.layers.Dense(1)])
        model.compile("sgd", "mse", run_eagerly=run_eagerly, jit_compile=False)
        model.fit(STEPS, STEPS[:, 0, :1], epochs=2, verbose=0)
        return model.get_weights()

    for ours, theirs in zip(trained(False), trained(True), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


class Doubled(layers.DynamicLayer):
    """As little as possible."""

    def call(self, inputs):
        return 2.0 * inputs

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)


@pytest.mark.parametrize("looped", [False, True])
@pytest.mark.parametrize("outer", [False, True])
def test_gradients_through_branches(looped, outer):
    layer = Doubled(dynamic="island")

    def branch(x):
        return tf.cond(tf.reduce_sum(x) > 0, lambda: layer(x) * x, lambda: x)

    def run(x):
        if not looped:
            return branch(x)
        return tf.while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, branch(x)), (0, x))[1]

    def gradient(x, function):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = function(x)
        return tape.gradient(outputs, x)

    for value in ([0.5, 0.75], [-1.0, 0.25]):
        x = tf.constant(value)
        if outer:
            found = gradient(x, tf.function(run))
        else:
            found = tf.function(lambda x: gradient(x, run))(x)
        np.testing.assert_allclose(found, gradient(x, run), rtol=1e-6)


def test_a_layer_without_add_loss_has_no_loss_in_a_graph():
    layer = Doubled(dynamic="island")
    assert tf.function(lambda x: (layer(x), len(layer.losses))[1])(VECTORS) == 0


def test_a_loss_that_no_method_adds_is_said():
    class Helped(Doubled):
        def call(self, inputs):
            getattr(self, "add" + "_loss")(tf.reduce_sum(inputs))
            return inputs

    with pytest.raises(tf.errors.InvalidArgumentError, match="must be called in a method"):
        tf.function(Helped(dynamic="island"))(VECTORS)


def test_call_of_a_mixin_is_an_island_too():
    class Mixin:
        def call(self, inputs):
            return np.sort(inputs.numpy())

        def compute_output_shape(self, input_shape):
            return tuple(input_shape)

    class Mixed(Mixin, layers.DynamicLayer):
        pass

    np.testing.assert_array_equal(tf.function(Mixed())(VECTORS), np.sort(VECTORS))


def test_a_call_method_of_the_subclass_runs_once():
    class Around(Doubled):
        def __call__(self, *args, **kwargs):
            return super().__call__(*args, **kwargs) + 1.0

    layer = Around(dynamic="island")
    np.testing.assert_array_equal(tf.function(layer)(VECTORS), layer(VECTORS))


def test_variables_come_in_and_go_out():
    class Scaled(Doubled):
        def build(self, input_shape):
            self.scale = self.add_weight(name="scale", shape=(4,), initializer="ones")
            self.built = True

        def call(self, inputs):
            return self.scale

        def compute_output_shape(self, input_shape):
            return (4,)

    layer = Scaled(dynamic="island")
    np.testing.assert_array_equal(tf.function(layer)(VECTORS), np.ones(4))
    variable = tf.Variable(VECTORS)
    doubled = Doubled(dynamic="island")
    with tf.GradientTape() as tape:
        outputs = tf.function(lambda: doubled(variable))()
    np.testing.assert_array_equal(tape.gradient(outputs, variable), np.full((6, 4), 2.0))


@pytest.mark.parametrize("error", [StopIteration(), tf.errors.OutOfRangeError(None, None, "end")])
def test_what_fit_takes_for_the_end_of_the_data_is_an_error(error):
    class Ending(Doubled):
        def call(self, inputs):
            raise error

    model = keras.Sequential([keras.Input((4,)), Ending(dynamic="island")])
    model.compile("sgd", "mse", jit_compile=False)
    with pytest.raises(Exception, match=r"raised (StopIteration|OutOfRange)"):
        model.fit(VECTORS, VECTORS, verbose=0)


def test_numpy_sizes_are_sizes():
    class Flat(Doubled):
        def call(self, inputs):
            return tf.reshape(inputs, (len(inputs), -1))

        def compute_output_shape(self, input_shape):
            return (input_shape[0], np.prod(list(input_shape[1:])))

    outputs = keras.Sequential([keras.Input((5, 3)), Flat()]).predict(STEPS, verbose=0)
    assert outputs.shape == (4, 15)


def test_tensorflow_saves_no_such_model(tmp_path):
    model = keras.Sequential([keras.Input((4,)), Doubled(dynamic="island")])
    with pytest.raises(NotImplementedError, match="A SavedModel cannot hold"):
        tf.saved_model.save(model, str(tmp_path))


@pytest.mark.skipif(_keras.GENERATION == 2, reason="Keras 3 alone has `stateless_call`")
def test_stateless_calls_in_a_graph_are_refused():
    layer = Doubled()
    layer(VECTORS)
    with pytest.raises(NotImplementedError, match="use it in eager mode"):
        tf.function(lambda x: layer.stateless_call([], [], x)[0])(VECTORS)


@keras.utils.register_keras_serializable("tests")
class Holder(keras.Model):
    """A model of a subclass, which Keras builds by a call when it loads it."""

    def __init__(self, dynamic="island", **kwargs):
        super().__init__(**kwargs)
        self.first = keras.layers.Dense(4)
        self.middle = Weighted(dynamic=dynamic)

    def call(self, inputs):
        return self.middle(self.first(inputs))


@keras.utils.register_keras_serializable("tests")
class Weighted(Doubled):
    """With a weight."""

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=(4,), initializer="ones")
        self.built = True

    def call(self, inputs):
        return inputs * self.scale


@pytest.mark.parametrize("dynamic", [True, "island"])
def test_a_model_of_a_subclass_comes_back(dynamic, tmp_path):
    model = Holder(dynamic)
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(VECTORS, VECTORS, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert len(again.weights) == len(model.weights) == 3
    np.testing.assert_allclose(
        again.predict(VECTORS, verbose=0), model.predict(VECTORS, verbose=0), rtol=1e-6
    )


def test_a_call_that_is_wrapped_later_is_refused_in_a_graph():
    def negative(cls):
        call = cls.call
        cls.call = lambda self, inputs: -call(self, inputs)
        return cls

    @negative
    class Negative(Doubled):
        pass

    layer = Negative(dynamic="island")
    np.testing.assert_array_equal(layer(VECTORS), -2.0 * VECTORS)
    with pytest.raises(TypeError, match="was wrapped after its class was made"):
        tf.function(layer)(VECTORS)
