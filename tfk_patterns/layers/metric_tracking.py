"""Metrics of a layer, in the logs of `fit` and `evaluate`."""

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, _validate
from tfk_patterns.layers._masking import check_mask, expand_mask, zero_masked
from tfk_patterns.layers._metrics import Max, Min, Std
from tfk_patterns.layers._owned_metric import own, update
from tfk_patterns.layers._statistics import at_least_float32

_AGGREGATIONS = {
    "mean": keras.metrics.Mean,
    "sum": keras.metrics.Sum,
    "max": Max,
    "min": Min,
    "std": Std,
}


class MetricTracking:
    """Mixin of layers that report values of their `call` as metrics, on every Keras.

    Keras 2 had `add_metric` for it, which Keras 3 took away. Declare each metric in the constructor
    (or in `build`), and update it in `call`. It is in the history of `fit` and in the logs of
    callbacks as `"{layer}_{metric}"`, so that no two layers of different names overwrite each
    other's, with `val_` before it for validation, and is reset with the metrics of the model at
    each epoch.

    Updated are calls with `training=True`, and all calls in `fit` and `evaluate`: within the
    `train_step` or `test_step` of a model. `predict`, a plain call in inference, and an exported
    model leave the metrics alone, also in a callback in the middle of an epoch. Which of these a
    call is shows when it is traced: a `tf.function` of your own that serves both must be two.
    Under a strategy the values of all replicas count. No gradient runs through a metric, and
    values in half precision are added up in float32.

    The layer alone updates its metrics: a `train_step` of your own that loops over `self.metrics`
    gets an error, since it would update them with targets and predictions;
    `self.compute_metrics(x, y, y_pred, sample_weight)` updates those of `compile`. `.keras` and
    `.weights.h5` files leave the metrics out; a checkpoint of TensorFlow holds them on Keras 2, for
    the same number of replicas. Of a `keras.Model` with the mixin inside another model Keras 3 logs
    none.

    Masking: masked positions are left out where `update_metric` gets the mask.

    Args:
        *args: Of the layer it is mixed into.
        **kwargs: Of the layer it is mixed into.

    Example:

    >>> import tensorflow as tf
    >>> from tensorflow import keras
    >>> import tfk_patterns
    >>> class Gate(tfk_patterns.layers.MetricTracking, keras.layers.Layer):
    ...     def __init__(self, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.declare_metric("open", "mean")
    ...
    ...     def call(self, inputs, mask=None):
    ...         gate = tf.sigmoid(inputs)
    ...         self.update_metric("open", gate > 0.5, mask=mask)
    ...         return inputs * gate
    >>> model = keras.Sequential([keras.Input((2,)), Gate(name="gate")])
    >>> model.compile("sgd", "mse")
    >>> model.evaluate(
    ...     tf.constant([[-1.0, 1.0], [2.0, 3.0]]), tf.zeros((2, 2)), verbose=0, return_dict=True
    ... )["gate_open"]
    0.75
    """

    def declare_metric(self, name: str, metric="mean") -> None:
        """Adds a metric to the layer: in the constructor after `super().__init__`, or in `build`.

        Args:
            name: Its name within the layer.
            metric: `"mean"`, `"sum"`, `"max"`, `"min"` or `"std"` (of all elements of an epoch), or
                a `keras.metrics.Metric`, of which a copy with the new name is made.

        Raises:
            RuntimeError: The layer is built already, or `super().__init__` was not called.
            TypeError: An argument has the wrong type, or the metric's config cannot make a copy.
            ValueError: The name is empty or taken, or there is no such metric.
        """
        if not hasattr(self, "built"):
            raise RuntimeError(
                "`declare_metric` must be called after `super().__init__(**kwargs)`, on a class "
                f"that is a layer too. Received: name={name!r}"
            )
        if not isinstance(name, str):
            raise _validate.type_error("name", "a string", name)
        if not name or name in self._declared():
            expected = f"a new one, not empty and none of {list(self._declared())}"
            raise _validate.value_error("name", expected, name)
        if self.built:
            raise RuntimeError(
                "`declare_metric` must be called in the constructor or in `build`, and the layer "
                f"{self.name!r} is built: Keras would not see it. Received: name={name!r}"
            )
        made = _metric_named(f"{self.name}_{name}", metric)
        own(made, self.name)
        setattr(self, f"_{name}_metric", made)  # where Keras finds it
        self._declared_metrics = (*self._declared(), name)

    def update_metric(self, name: str, *values, mask=None, sample_weight=None) -> None:
        """Updates a declared metric, where a call counts (see the class).

        Args:
            name: The name that it was declared with.
            *values: One tensor, each of whose elements counts, or the arguments of a
                `keras.metrics.Metric` such as targets and predictions.
            mask: Boolean tensor on the leading axes of the values, `True` where they count.
            sample_weight: Weights on the leading axes of the values. A `"mean"` or `"std"` of a
                scalar needs it: the number of samples that the scalar stands for.

        Raises:
            TypeError: The mask is not boolean, or `training` a tensor whose value is not known.
            ValueError: The metric was not declared, the mask does not fit, or a scalar comes
                without its weight.
        """
        if name not in self._declared():
            expected = (
                f"one of the declared metrics, {list(self._declared())}; `declare_metric` adds one "
                "in the constructor"
            )
            raise _validate.value_error("name", expected, name)
        metric = self._metric(name)
        elements = type(metric) in _AGGREGATIONS.values()  # not what derives from them
        if elements and len(values) != 1:
            raise ValueError(
                f"`values` of the metric {name!r} must be one tensor. Received: {len(values)}"
            )
        values = [tf.stop_gradient(_as_counted(value)) for value in values]
        if mask is not None:
            for value in values:
                _check_mask(name, mask, value)
            mask = tf.convert_to_tensor(mask)
        if sample_weight is None and not values[0].shape.rank and _averages(metric):
            raise ValueError(
                f"`sample_weight` of the metric {name!r} must say how many samples a scalar stands "
                "for, or give values with a batch axis. Received: sample_weight=None"
            )
        if _keras.infers_shapes() or not (_keras.training_of_call(self) or _keras.in_step()):
            return
        weights = _weights(values[0], mask, sample_weight, elements)
        with _keras.without_autocast():
            update(metric, *(zero_masked(value, mask) for value in values), **weights)

    def _metric(self, name: str) -> keras.metrics.Metric:
        return getattr(self, f"_{name}_metric")

    def _declared(self) -> tuple[str, ...]:
        return getattr(self, "_declared_metrics", ())


def _metric_named(name, metric):
    expected = f"one of {', '.join(map(repr, _AGGREGATIONS))}, or a keras.metrics.Metric object"
    if not isinstance(metric, keras.metrics.Metric):
        if not isinstance(metric, str):
            raise _validate.type_error("metric", expected, metric)
        if metric not in _AGGREGATIONS:
            raise _validate.value_error("metric", expected, metric)
        # A mixed policy must not reach the sums.
        return _AGGREGATIONS[metric](name=name, dtype=keras.backend.floatx())
    try:
        return type(metric).from_config({**metric.get_config(), "name": name})
    except Exception as error:
        raise TypeError(
            "`metric` must be copied to be renamed, so `from_config` must take what its "
            f"`get_config` gives, with another name: {error}. Received: metric={metric!r}"
        ) from error


def _check_mask(name, mask, value):
    """A mask may have as many axes as what it belongs to, one value for each position."""
    try:
        check_mask(mask, [*value.shape, None])
    except ValueError as error:
        raise ValueError(
            "`mask` must have the sizes of the leading axes of the values. Received: mask of shape "
            f"{tuple(mask.shape)} for the metric {name!r} with values of shape {tuple(value.shape)}"
        ) from error


def _averages(metric) -> bool:
    return type(metric) in (keras.metrics.Mean, Std)


def _as_counted(value):
    value = tf.convert_to_tensor(value)
    if value.dtype == tf.bool:
        return tf.cast(value, keras.backend.floatx())
    return at_least_float32(value) if value.dtype.is_floating else value


def _weights(values, mask, sample_weight, elements) -> dict:
    """The argument `sample_weight` of a metric, if any; of the shape of the values where asked."""
    if mask is None and sample_weight is None:
        return {}
    weights = tf.cast(1.0 if sample_weight is None else sample_weight, keras.backend.floatx())
    if mask is not None:
        mask = tf.cast(mask, weights.dtype)
        rank = max(weights.shape.rank, mask.shape.rank)
        weights = expand_mask(weights, rank) * expand_mask(mask, rank)
    if elements:
        weights = tf.broadcast_to(expand_mask(weights, values.shape.rank), tf.shape(values))
    return {"sample_weight": tf.stop_gradient(weights)}
