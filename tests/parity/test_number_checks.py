"""Right layers that look wrong to the checks of numbers: passed, or skipped with a reason."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity import LayerCase, check_layer
from tfk_patterns.parity.masks import masking
from tfk_patterns.parity.numbers import special_values

STEPS = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
POSITIVE = np.abs(STEPS) + 1
MASK = np.arange(5) < np.array([[5], [3], [1], [4]])


def lambda_of(function):
    return lambda: keras.layers.Lambda(function, lambda shape: shape)


class Counted(keras.layers.Layer):
    """Scales by a learned number, and counts calls exactly whatever the policy."""

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        self.count = _keras.add_exact_weight(self, name="count", dtype="float32")
        self.built = True

    def call(self, inputs, training=None):
        if training and self.trainable:
            self.count.assign_add(1.0)
        return inputs * tf.convert_to_tensor(self.scale)


class SafeMean(keras.layers.Layer):
    def call(self, inputs, mask=None):
        weights = tf.cast(mask, inputs.dtype)[..., tf.newaxis]
        total = tf.reduce_sum(weights * inputs, axis=1)
        return total / tf.maximum(tf.reduce_sum(weights, axis=1), 1.0)


class Float32Only(keras.layers.Layer):
    """Says in its constructor what it cannot do."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        if self.compute_dtype != "float32":
            raise ValueError("this layer works in float32 only")

    def call(self, inputs):
        return inputs + tf.constant(1.0)


class OneHotBeside(keras.layers.Layer):
    """Its second output is a code in float32."""

    def call(self, inputs):
        return inputs, tf.one_hot(tf.argmax(inputs, axis=-1), 3)


class Coordinates(keras.layers.Layer):
    """Needs the digits of its inputs."""

    def __init__(self, autocast=False, **kwargs):
        super().__init__(autocast=autocast, **kwargs)

    def call(self, inputs):
        if inputs.dtype.size < tf.float32.size:
            raise TypeError("half precision cannot tell near places apart")
        return tf.cast(tf.sin(inputs), self.compute_dtype)


def _filtered(x):
    wide = tf.complex128 if x.dtype == tf.float64 else tf.complex64
    spectrum = tf.signal.fft(tf.cast(x, wide))
    return tf.cast(tf.math.real(tf.signal.ifft(spectrum * tf.cast(0.5, wide))), x.dtype)


def _softmax_in_float32():
    head = keras.layers.Activation("softmax", dtype="float32")
    return keras.Sequential([keras.layers.Dense(2), head])


def _refused(x):
    tf.debugging.assert_greater(tf.reduce_max(x), tf.zeros((), x.dtype))
    return x


def _resized(x):
    return tf.cast(tf.image.resize(x[..., tf.newaxis], (5, 3)), x.dtype)[..., 0]


PASSED = {
    "exponential": ("finite_values", lambda_of(tf.exp), STEPS),
    "logarithm_of_positive": ("finite_values", lambda_of(tf.math.log), POSITIVE),
    "acosh": ("finite_values", lambda_of(tf.math.acosh), POSITIVE),
    "softmax": ("finite_values", keras.layers.Softmax, STEPS),
    "refused": ("finite_values", lambda_of(_refused), STEPS),
    "infinite_logits": (
        "finite_values",
        lambda_of(lambda x: tf.where(x > 0, x, tf.constant(-np.inf, x.dtype))),
        STEPS,
    ),
    "missing_values": (
        "finite_values",
        lambda_of(lambda x: tf.where(tf.math.is_nan(x), tf.zeros_like(x), x)),
        np.where(STEPS > 1, np.float32(np.nan), STEPS),
    ),
    "counted": ("dtype_policy", Counted, STEPS),
    "filtered": ("dtype_policy", lambda_of(_filtered), STEPS),
    "coordinates": ("dtype_policy", Coordinates, STEPS),
    "softmax_in_float32": ("dtype_policy", _softmax_in_float32, STEPS),
    "one_hot_beside": ("dtype_policy", OneHotBeside, STEPS),
    "resized": ("dtype_policy", lambda_of(_resized), STEPS),
    "layer_normalization": ("dtype_policy", keras.layers.LayerNormalization, STEPS),
    "dropout": ("dtype_policy", lambda: keras.layers.Dropout(0.5), STEPS),
    "rounding": ("dtype_policy", lambda_of(tf.round), STEPS),
    "square": ("low_precision", lambda_of(lambda x: tf.square(tf.square(x))), STEPS),
    "steep": ("low_precision", lambda_of(lambda x: tf.sin(100 * x)), STEPS),
    "rounded": ("low_precision", lambda_of(lambda x: tf.round(3 * x)), STEPS),
    "normalized": (
        "low_precision",
        lambda_of(lambda x: x - tf.reduce_mean(x, -1, keepdims=True)),
        1 + STEPS / 100,
    ),
    "dropout_in_half": ("low_precision", lambda: keras.layers.Dropout(0.5, seed=1), STEPS),
}


@pytest.mark.parametrize("name", PASSED)
def test_right_layers_are_not_blamed(name):
    check, make, inputs = PASSED[name]
    (result,) = check_layer(LayerCase(make, inputs), checks=[check]).results
    assert result.verdict == "passed", result


def test_a_safe_mean_of_nothing_is_not_blamed():
    (result,) = check_layer(LayerCase(SafeMean, STEPS, MASK), checks=["fully_masked"]).results
    assert result.verdict == "passed", result


@pytest.mark.parametrize(
    ("check", "make", "inputs", "reason"),
    [
        ("dtype_policy", Float32Only, STEPS, "works in float32 only"),
        ("dtype_policy", lambda: keras.layers.Dense(2, dtype="float32"), STEPS, "dtype of its own"),
        ("dtype_policy", lambda: keras.layers.Embedding(3, 2, dtype="float64"), MASK, "its own"),
        ("low_precision", lambda: keras.layers.Dense(2, dtype="float64"), STEPS, "in float64"),
        ("fully_masked", keras.layers.ReLU, STEPS, "no mask"),
    ],
)
def test_what_cannot_be_judged_is_skipped(check, make, inputs, reason):
    inputs = inputs.astype("int32") if inputs.dtype == bool else inputs
    (result,) = check_layer(LayerCase(make, inputs), checks=[check]).results
    assert reason in result.reason, result


def test_the_global_policy_is_as_before():
    before = keras.mixed_precision.global_policy()
    check_layer(LayerCase(keras.layers.ReLU, STEPS), checks=["dtype_policy", "low_precision"])
    assert keras.mixed_precision.global_policy().name == before.name


def test_special_values_keep_what_is_known_of_the_inputs():
    inputs = {"signed": STEPS, "probability": np.full((2, 2), 0.3), "pixels": 200 * np.ones((2, 2))}
    assert special_values.scaled(inputs, 1000.0).keys() == {"signed"}
    assert np.abs(special_values.scaled(inputs, 1000.0)["signed"]).max() == pytest.approx(1000)
    assert special_values.zeros({"signed": STEPS, "times": POSITIVE}).keys() == {"signed"}


def test_masks_are_emptied_and_filled_again():
    data = {"inputs": None, "kwargs": {}, "mask": [tf.constant(MASK), None]}
    emptied = masking.fully(data, slice(0, 1))
    assert [bool(row.any()) for row in emptied["mask"][0].numpy()] == [False, True, True, True]
    filled = masking.nowhere_fully(emptied)["mask"][0].numpy()
    assert filled[0].tolist() == [True, False, False, False, False]
    assert (filled[1:] == MASK[1:]).all()


def test_that_inputs_are_cast_can_be_turned_off_and_the_hint_says_so():
    report = check_layer(
        LayerCase(lambda: Coordinates(autocast=True), STEPS, name="cast"),
        checks=["dtype_policy"],
        on_fail="report",
    )
    assert "`autocast=False`" in report.failures[0].hint
