"""Windows of a convolution over steps, anchored at the first step whatever the length."""

import functools
from typing import Any

import tensorflow as tf

from tfk_patterns import _keras


def padding_of(padding: str, kernel_size: int, dilation_rate: int) -> tuple[int, int]:
    """How many zeros stand before the first step and after the last one."""
    span = (kernel_size - 1) * dilation_rate
    return {"same": (span // 2, span - span // 2), "causal": (span, 0), "valid": (0, 0)}[padding]


def window_sums(inputs, kernel, strides: int, padding: str, dilation_rate: int) -> tf.Tensor:
    """The sum of products of each window of `(batch, steps, features)` with a kernel.

    Args:
        inputs: `(batch, steps, features)`.
        kernel: `(kernel_size, features, filters)`.
        strides: Steps from window to window.
        padding: `"same"`, `"causal"` or `"valid"`.
        dilation_rate: Steps between neighbours in a window.
    """
    kernel_size, _, filters = kernel.shape
    left, right = padding_of(padding, kernel_size, dilation_rate)
    batch, steps, _ = tf.unstack(tf.shape(inputs))
    windows = (steps + left + right - (kernel_size - 1) * dilation_rate - 1) // strides + 1
    # Of no samples or steps, TensorFlow's convolution has the shape of its inputs
    # (docs/findings.md): it gets none where that is known, and the shape is put right elsewhere.
    if 0 in inputs.shape[:2]:
        connected = tf.reduce_sum(inputs) + tf.reduce_sum(kernel)  # for gradients of zeros
        return tf.zeros((batch, windows, filters), inputs.dtype) * connected
    if padding == "same" and strides == dilation_rate == 1:
        # TensorFlow's own pads do not depend on the length here, and save a copy.
        outputs = tf.nn.conv1d(inputs, kernel, 1, "SAME")
    else:
        if left or right:
            inputs = tf.pad(inputs, [[0, 0], [left, right], [0, 0]])
        if dilation_rate == 1:
            outputs = tf.nn.conv1d(inputs, kernel, strides, "VALID")
        else:  # TensorFlow cannot dilate on a CPU, or not with strides
            starts = range(0, kernel_size * dilation_rate, dilation_rate)
            shifted = (inputs[:, start : start + windows * strides : strides] for start in starts)
            outputs = sum(map(functools.partial(tf.tensordot, axes=1), shifted, tf.unstack(kernel)))
    return tf.reshape(outputs, (batch, windows, filters))


def count_valid_in_windows(mask, kernel_size: int, *windows) -> tf.Tensor:
    """How many valid steps each window holds: float32 `(batch, windows, 1)`."""
    ones = tf.ones((kernel_size, 1, 1))
    return window_sums(tf.expand_dims(tf.cast(mask, tf.float32), -1), ones, *windows)


@_keras.register
class WindowMask(_keras.Operation):
    """Which windows hold a valid step; also for the symbolic masks of functional models.

    Args:
        kernel_size: Size of the window.
        strides: Steps from window to window.
        padding: `"same"`, `"causal"` or `"valid"`.
        dilation_rate: Steps between neighbours in a window.
        name: Name in a functional model.
    """

    def __init__(self, kernel_size: int, strides: int, padding: str, dilation_rate: int, name=None):
        super().__init__(name=name)
        self.windows = (kernel_size, strides, padding, dilation_rate)

    def call(self, mask):
        return tf.squeeze(count_valid_in_windows(mask, *self.windows), -1) > 0

    def get_config(self) -> dict[str, Any]:
        names = ("kernel_size", "strides", "padding", "dilation_rate")
        return {**dict(zip(names, self.windows, strict=True)), "name": self.name}
