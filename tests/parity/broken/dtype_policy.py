"""Layers that work in float32 only."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken


class FixedConstant(keras.layers.Layer):
    """Multiplies by weights of each step that are float32, whatever the policy."""

    def call(self, inputs):
        weights = tf.range(1.0, tf.cast(tf.shape(inputs)[1], tf.float32) + 1.0)
        return inputs / weights[:, tf.newaxis]


class FixedOutput(keras.layers.Layer):
    """Returns float32 under every policy."""

    def call(self, inputs):
        return tf.tanh(tf.cast(inputs, tf.float32))

    def compute_output_shape(self, input_shape):
        return input_shape


class DownAndUp(keras.layers.Layer):
    """Normalises in float32, which is more than half precision and less than float64."""

    def call(self, inputs):
        wide = tf.cast(inputs, tf.float32)
        mean = tf.reduce_mean(wide, axis=-1, keepdims=True)
        return tf.cast(tf.sin(wide - mean), inputs.dtype)


class SpectralFilter(keras.layers.Layer):
    """Weighs the frequencies of the features in complex64, half the digits of complex128."""

    def call(self, inputs):
        spectrum = tf.signal.fft(tf.cast(inputs, tf.complex64))
        weights = tf.constant([1.0, 0.5, 0.25], tf.complex64)
        return tf.cast(tf.math.real(tf.signal.ifft(spectrum * weights)), inputs.dtype)


class HalfWeight(keras.layers.Layer):
    """Keeps its weight in the compute dtype, so that the optimizer's small steps are lost."""

    def build(self, input_shape):
        self.scale = self.add_weight(
            name="scale", shape=(3,), initializer="ones", dtype=self.compute_dtype
        )
        self.built = True

    def call(self, inputs):
        return inputs * tf.convert_to_tensor(self.scale)


class GlobalPolicyOnly(keras.layers.Layer):
    """Reads the global policy and not its own."""

    def call(self, inputs):
        dtype = keras.mixed_precision.global_policy().compute_dtype
        return inputs + tf.cast(tf.range(tf.shape(inputs)[1]), dtype)[:, tf.newaxis]


BROKEN = [
    broken("dtype_policy", FixedConstant, "cannot be called under the dtype policy mixed_float16"),
    broken("dtype_policy", FixedOutput, "outputs is float32 where the layer computes in float64"),
    broken("dtype_policy", DownAndUp, "has fewer digits than float64"),
    broken("dtype_policy", SpectralFilter, "has fewer digits than float64"),
    broken("dtype_policy", HalfWeight, "half_weight/scale` is float16"),
    broken(
        "dtype_policy", GlobalPolicyOnly, "cannot be called under the dtype policy mixed_float16"
    ),
]
