"""States that Keras does not show: kept, or warned of."""

import warnings

import pytest
import tensorflow as tf
from tensorflow import keras

from tests.training.resuming import assert_resumes, network, train
from tfk_patterns import _keras, layers

MODES = [
    pytest.param({}, id="graph"),
    pytest.param({"run_eagerly": True}, id="eager"),
    pytest.param({"jit_compile": True}, id="xla", marks=pytest.mark.slow),
    pytest.param({"steps_per_execution": 3}, id="executions", marks=pytest.mark.slow),
]


WITH_A_GRAPH = [mode for mode in MODES if mode.id != "eager"]


class Noise(keras.layers.Layer):
    """Draws from the state of an operation."""

    def call(self, inputs):
        return inputs + tf.random.normal(tf.shape(inputs), seed=3)


class HiddenGenerator(keras.layers.Layer):
    """Has a generator where Keras does not look."""

    def __init__(self):
        super().__init__()
        generator = tf.random.Generator.from_seed(1)
        self.generator = lambda: generator

    def call(self, inputs):
        return inputs + self.generator().normal(tf.shape(inputs))


class HiddenVariable(keras.layers.Layer):
    """Counts its calls where Keras does not look."""

    def __init__(self):
        super().__init__()
        variable = tf.Variable(0.0)
        self.variable = lambda: variable

    def call(self, inputs):
        return inputs + 0.01 * self.variable().assign_add(1.0)


class HiddenInEvaluation(HiddenVariable):
    def call(self, inputs, training=None):
        return inputs if training else super().call(inputs)


class SeedlessNoise(keras.layers.Layer):
    """Draws from the generator that Keras 3 has for all."""

    def call(self, inputs):
        return inputs + keras.random.normal(tf.shape(inputs))


def warnings_of(make, tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(make(), tmp_path, epochs=1)
    return [str(one.message) for one in caught if "random numbers" in str(one.message)]


@pytest.mark.parametrize("mode", MODES[:2])
def test_a_layer_that_draws_by_tf_random_is_warned_of(mode, tmp_path):
    assert warnings_of(lambda: network(Noise, **mode), tmp_path)


@pytest.mark.parametrize("mode", MODES[:1])
@pytest.mark.skipif(_keras.GENERATION == 3, reason="Keras 3 draws from a variable")
def test_dropout_of_keras_2_is_warned_of_until_it_draws_from_a_generator(mode, tmp_path):
    def make():
        return network(lambda: keras.layers.Dropout(0.3), **mode)

    assert warnings_of(make, tmp_path / "state")
    keras.backend.experimental.enable_tf_random_generator()
    try:
        assert not warnings_of(make, tmp_path / "generator")
    finally:
        keras.backend.experimental.disable_tf_random_generator()


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.BatchNormDropout(rate=0.2, seed=3),
        pytest.param(lambda: layers.BatchNormDropout(rate=0.2), marks=pytest.mark.slow),
        pytest.param(
            lambda: keras.layers.Dropout(0.3),
            marks=pytest.mark.skipif(_keras.GENERATION == 2, reason="with a warning"),
        ),
    ],
    ids=["seed", "no_seed", "dropout"],
)
def test_layers_that_draw_from_a_variable_go_on_without_a_warning(make, tmp_path):
    assert not warnings_of(lambda: network(make), tmp_path / "warnings")
    assert_resumes(tmp_path, lambda: network(make))


@pytest.mark.parametrize("mode", WITH_A_GRAPH)
@pytest.mark.skipif(_keras.GENERATION == 2, reason="Keras 2 has no keras.random")
def test_the_generator_that_keras_has_for_all_goes_on(mode, tmp_path):
    kill = (1, 3) if "steps_per_execution" not in mode else (2, 0)
    assert_resumes(tmp_path, lambda: network(SeedlessNoise, **mode), kill)


def test_in_eager_mode_a_warning_says_that_nobody_sees_hidden_state(tmp_path):
    (warning,) = warnings_of(lambda: network(HiddenVariable, run_eagerly=True), tmp_path)
    assert "run_eagerly" in warning


@pytest.mark.parametrize("mode", WITH_A_GRAPH)
@pytest.mark.parametrize(
    "hidden", [HiddenVariable, pytest.param(HiddenGenerator, marks=pytest.mark.slow)]
)
def test_a_variable_that_keras_does_not_see_goes_on(hidden, mode, tmp_path):
    kill = (1, 3) if "steps_per_execution" not in mode else (2, 0)
    assert_resumes(tmp_path, lambda: network(hidden, **mode), kill)


def test_a_variable_that_only_the_evaluation_changes_goes_on(tmp_path):
    assert_resumes(tmp_path, lambda: network(HiddenInEvaluation), save_freq="epoch")


@pytest.mark.slow
def test_the_states_of_a_stateful_lstm_go_on(tmp_path):
    def make():
        keras.backend.clear_session()
        keras.utils.set_random_seed(1)
        inputs = keras.Input(batch_shape=(8, 4))
        hidden = keras.layers.Reshape((2, 2))(inputs)
        hidden = keras.layers.LSTM(3, stateful=True)(hidden)
        model = keras.Model(inputs, keras.layers.Dense(2)(hidden))
        model.compile("adam", "mse")
        return model

    assert_resumes(tmp_path, make)


def test_dropout_on_two_replicas_goes_on(two_replicas, tmp_path):
    """In Keras 2, from a generator."""

    def make():
        keras.backend.clear_session()
        with two_replicas.scope():
            return network(lambda: keras.layers.Dropout(0.3), fresh=False)

    if _keras.GENERATION == 2:
        keras.backend.experimental.enable_tf_random_generator()
    try:
        assert_resumes(tmp_path, make)
    finally:
        if _keras.GENERATION == 2:
            keras.backend.experimental.disable_tf_random_generator()
