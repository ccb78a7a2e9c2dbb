"""What the activations of a layer look like, as metrics."""

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, _validate
from tfk_patterns.layers._masking import as_checked_mask, passed_on, zero_masked
from tfk_patterns.layers._metrics import ZeroedMetric
from tfk_patterns.layers._statistics import count_valid
from tfk_patterns.layers.metric_tracking import MetricTracking


@_keras.register
class ActivationMonitor(MetricTracking, keras.layers.Layer):
    """Passes its input on unchanged and reports its statistics as metrics of each epoch.

    In the history of `fit`, and in the logs of callbacks, under the name of the layer:

    - `"{layer}_mean"` and `"{layer}_std"`: mean and standard deviation of all activations;
    - `"{layer}_zero_fraction"`: the share of them that is exactly 0;
    - `"{layer}_dead_units"`: how many units were 0 at every position of the epoch.

    Counted are training and evaluation, not `predict`: see `MetricTracking`.

    Masks are passed on, and masked positions are left out.

    Args:
        **kwargs: Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: Tensor `(batch, ..., units)`.
        mask: Boolean tensor on the leading axes of `inputs`, `True` where a step is valid.

    Input shape:
        `(batch, ..., units)`, any rank of 2 or more, `units` known.

    Output shape:
        That of the input.

    Raises:
        TypeError: The mask is not boolean.
        ValueError: The rank is less than 2, `units` is unknown, or the mask does not fit.

    Example:

    >>> import tensorflow as tf
    >>> import tfk_patterns
    >>> monitor = tfk_patterns.layers.ActivationMonitor(name="relu")
    >>> outputs = monitor(tf.constant([[0.0, 1.0], [0.0, 3.0]]), training=True)
    >>> {metric.name: float(metric.result()) for metric in monitor.metrics}["relu_dead_units"]
    1.0
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.declare_metric("mean", "mean")
        self.declare_metric("std", "std")
        self.declare_metric("zero_fraction", "mean")

    def build(self, input_shape) -> None:
        _validate.rank_at_least("inputs", input_shape, 2, "(batch, ..., units)")
        units = _validate.known_axis("inputs", input_shape, -1, "the units to watch")
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: units})
        self.declare_metric("dead_units", DeadUnits(units))
        self.built = True

    def call(self, inputs, mask=None) -> tf.Tensor:
        mask = as_checked_mask(mask, inputs)
        self.update_metric("mean", inputs, mask=mask)
        self.update_metric("std", inputs, mask=mask)
        active = zero_masked(tf.cast(inputs != 0, tf.float32), mask)
        positions = count_valid(active, mask)
        active = tf.reduce_sum(active, axis=range(active.shape.rank - 1))
        zero_fraction = 1 - tf.math.divide_no_nan(active, positions)
        self.update_metric("zero_fraction", zero_fraction, sample_weight=positions)
        self.update_metric("dead_units", active, positions)
        return inputs

    def compute_mask(self, inputs, mask=None) -> tf.Tensor | None:
        return passed_on(mask, inputs)

    def compute_output_shape(self, input_shape) -> tuple[int | None, ...]:
        _validate.rank_at_least("inputs", input_shape, 2, "(batch, ..., units)")
        return input_shape


@_keras.register
class DeadUnits(ZeroedMetric):
    """How many units (the last axis) were nowhere active; 0 before any value."""

    def __init__(self, units: int, name=None, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.units = units
        # The sum over replicas is positive where a unit was active on any.
        self.active = self.add_weight(name="active", shape=(units,), initializer="zeros")
        self.positions = self.add_weight(name="positions", shape=(), initializer="zeros")

    def update_state(self, active, positions):
        """Takes at how many positions each unit was active, and how many there were."""
        self.active.assign_add(tf.cast(active, self.active.dtype))
        self.positions.assign_add(tf.cast(positions, self.positions.dtype))

    def result(self):
        dead = tf.cast(tf.convert_to_tensor(self.active) == 0, self.active.dtype)
        return tf.reduce_sum(dead) * tf.cast(self.positions > 0, dead.dtype)

    def get_config(self):
        return {**super().get_config(), "units": self.units}
