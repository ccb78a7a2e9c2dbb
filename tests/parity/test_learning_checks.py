"""Right layers that look wrong to the checks of gradients: passed, or skipped with a reason."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfk_patterns.parity import LayerCase, check_layer

STEPS = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
MASK = np.arange(5) < np.array([[5], [3], [1], [4]])


@tf.custom_gradient
def reversed_gradient(x):
    return tf.identity(x), lambda upstream: -upstream


@tf.custom_gradient
def clipped_gradient(x):
    return x, lambda upstream: tf.clip_by_value(upstream, -0.1, 0.1)


@tf.custom_gradient
def rounded(x):
    return tf.round(x), lambda upstream: upstream


@tf.custom_gradient
def spike(x):
    fired = tf.cast(x > 0, x.dtype)
    return fired, lambda upstream: upstream / tf.square(1 + 10 * tf.abs(x))


@tf.custom_gradient
def softplus(x):
    return tf.math.log1p(tf.exp(x)), lambda upstream: upstream * tf.sigmoid(x)


@tf.custom_gradient
def numpy_sine(x):
    y = tf.ensure_shape(tf.numpy_function(np.sin, [x], x.dtype), x.shape)
    return y, lambda upstream: upstream * tf.cos(x)


def lambda_of(function):
    return lambda: keras.layers.Lambda(function, lambda shape: shape)


def _reversed_head():
    return keras.Sequential(
        [lambda_of(reversed_gradient)(), keras.layers.Dense(2, activation="swish")]
    )


DIFFERENTIATED = {
    "reversed": (lambda_of(reversed_gradient), STEPS, "a gradient of its own"),
    "reversed_head": (_reversed_head, STEPS, "a gradient of its own"),
    "clipped": (lambda_of(clipped_gradient), STEPS, "a gradient of its own"),
    "rounded": (lambda_of(rounded), STEPS, ""),
    "rounded_and_more": (lambda_of(lambda x: rounded(2 * x) + x), STEPS, "function with steps"),
    "spike_and_more": (lambda_of(lambda x: spike(x) + x), STEPS, "function with steps"),
    "softplus": (lambda_of(softplus), STEPS, ""),
    "numpy_sine": (lambda_of(numpy_sine), STEPS, ""),
    "stopped": (
        lambda_of(lambda x: x + tf.stop_gradient(tf.sin(x) - x)),
        STEPS,
        "stops gradients",
    ),
    "moments": (lambda_of(lambda x: x * tf.nn.moments(x, [-1], keepdims=True)[1]), STEPS, ""),
    "relu_at_zeros": (keras.layers.ReLU, np.zeros_like(STEPS), ""),
    "equal_maxima": (lambda: keras.layers.MaxPooling1D(2), np.ones_like(STEPS), ""),
    "root_at_zero": (lambda_of(tf.sqrt), np.zeros_like(STEPS), ""),
    "resized": (
        lambda_of(lambda x: tf.cast(tf.image.resize(x[..., None], (5, 3)), x.dtype)[..., 0]),
        STEPS,
        "",
    ),
    "no_gradient_in_tensorflow": (
        lambda_of(lambda x: x + tf.cast(tf.math.bincount([1, 0], x[0, 0, :2]), x.dtype)[0]),
        STEPS,
        "TensorFlow defines no gradient",
    ),
}


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_meant_and_right_gradients_are_not_blamed(name):
    make, inputs, reason = DIFFERENTIATED[name]
    (result,) = check_layer(LayerCase(make, inputs), checks=["finite_differences"]).results
    assert result.verdict in ("passed", "skipped"), result
    assert reason in result.reason


class LooksUpFloats(keras.layers.Layer):
    """Takes ids in floats, as of an `Input` without a dtype: between them there are none."""

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)

    def build(self, input_shape):
        self.table = self.add_weight(name="table", shape=(2000, 3))
        self.built = True

    def call(self, inputs):
        return tf.gather(tf.convert_to_tensor(self.table), tf.cast(inputs, tf.int32))


def test_inputs_that_the_layer_takes_alone_are_not_moved():
    ids = np.array([[1999.0, 0.0, 3.0], [2.0, 1998.0, 1000.0]], "float32")
    case = LayerCase(LooksUpFloats, ids)
    checks = ["finite_differences", "dtype_policy", "low_precision"]
    results = {result.check: result for result in check_layer(case, checks=checks).results}
    assert results["finite_differences"].verdict == "passed"
    assert "refuses other inputs near them" in results["finite_differences"].reason
    assert results["dtype_policy"].verdict == "passed"
    assert results["low_precision"].verdict == "passed"


class WeightForContext(keras.layers.Layer):
    """Projects a context where there is one."""

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(3,))
        self.built = True

    def call(self, inputs, context=None):
        return inputs if context is None else inputs + context * tf.convert_to_tensor(self.kernel)


class PaddingVector(keras.layers.Layer):
    """Puts a learned vector at the masked steps."""

    def build(self, input_shape):
        self.vector = self.add_weight(name="vector", shape=(3,))
        self.built = True

    def call(self, inputs, mask=None):
        if mask is None:
            return inputs
        return tf.where(mask[..., tf.newaxis], inputs, tf.convert_to_tensor(self.vector))


class LearnsByLoss(keras.layers.Layer):
    """Its weight is in a loss alone."""

    def build(self, input_shape):
        self.centre = self.add_weight(name="centre", shape=(3,))
        self.built = True

    def call(self, inputs):
        distance = tf.square(inputs - tf.convert_to_tensor(self.centre))
        self.add_loss(tf.reduce_mean(distance))
        return inputs


class NearestClass(keras.layers.Layer):
    """Returns integers only."""

    def build(self, input_shape):
        self.classes = self.add_weight(name="classes", shape=(3, 2))
        self.built = True

    def call(self, inputs):
        return tf.argmax(tf.matmul(inputs, tf.convert_to_tensor(self.classes)), axis=-1)


class LowRankUpdate(keras.layers.Layer):
    """Adds a product whose second factor starts at zero, so that the first has no gradient yet."""

    def build(self, input_shape):
        self.down = self.add_weight(name="down", shape=(3, 2))
        self.up = self.add_weight(name="up", shape=(2, 3), initializer="zeros")
        self.built = True

    def call(self, inputs):
        hidden = tf.tensordot(inputs, tf.convert_to_tensor(self.down), axes=1)
        return inputs + tf.tensordot(hidden, tf.convert_to_tensor(self.up), axes=1)


def rectified_far_below_zero():
    return keras.layers.Dense(
        2, activation="relu", bias_initializer=keras.initializers.Constant(-9)
    )


@pytest.mark.parametrize(
    ("make", "mask", "verdict", "reason"),
    [
        (LowRankUpdate, None, "passed", ""),
        (rectified_far_below_zero, None, "passed", ""),
        (WeightForContext, None, "passed", "argument `context`"),
        (PaddingVector, None, "passed", "argument `mask`"),
        (PaddingVector, MASK, "passed", ""),
        (LearnsByLoss, None, "passed", ""),
        (NearestClass, None, "skipped", "no output is a float"),
        (keras.layers.ReLU, None, "skipped", "no trainable weights"),
    ],
)
def test_weights_that_may_rest_are_not_blamed(make, mask, verdict, reason):
    (result,) = check_layer(LayerCase(make, STEPS, mask), checks=["weights_learn"]).results
    assert (result.verdict, reason in result.reason) == (verdict, True), result
