"""A layer that ends a model: its loss and metrics are part of the model itself."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, _validate
from tfk_patterns.layers._loss_and_metrics import as_list, as_loss, as_metric
from tfk_patterns.layers._masking import as_checked_mask, expand_mask, passed_on, zero_masked
from tfk_patterns.layers._statistics import at_least_float32, mean_over_replicas
from tfk_patterns.layers.metric_tracking import MetricTracking


@_keras.register
class PredictionEndpoint(MetricTracking, keras.layers.Layer):
    """Returns the predictions; where targets come too, adds their loss and tracks metrics.

    The targets are an input of the model like others, and `compile(optimizer)` needs no loss:
    `endpoint(predictions, targets)` in a functional model of which they are an `Input`; the `y` of
    `fit` is then of no use. Without targets it only passes the predictions on, so that a second
    model of the same layers predicts.

    The loss is `sum(weight * loss) / number` over the positions of the batch, as Keras' own
    reduction `"sum_over_batch_size"`; over those of all replicas, where their shares differ. The
    metrics `"{layer}_loss"` (the weighted mean) and `"{layer}_{metric}"` are in the logs: see
    `MetricTracking`. Both take predictions in float32 at least.

    A mask of the predictions is passed on, and masked positions count neither in the loss and its
    number of positions nor in the metrics.

    Args:
        loss: A Keras loss: a name, a function of targets and predictions with a value for each
            position, or a `keras.losses.Loss` with the default reduction. A model is loaded again
            only where its function or class is registered with Keras.
        metrics: Names of Keras metrics (`"sparse_categorical_accuracy"`, not `"accuracy"`, which
            `compile` alone resolves) or `keras.metrics.Metric` objects; `None` for none.
        **kwargs: Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Call arguments:
        predictions: Tensor `(batch, ...)`.
        targets: What the loss takes for the predictions, or `None`.
        sample_weight: Tensor `(batch,)` or on more of the leading axes, or `None`.
        mask: Boolean tensor on the leading axes of `predictions`, `True` where a step is valid.

    Input shape:
        `(batch, ...)`, any rank of 2 or more.

    Output shape:
        That of the predictions.

    Raises:
        TypeError: An argument has the wrong type, or the mask is not boolean.
        ValueError: `loss` or a metric is unknown, `"accuracy"`, or named twice, the reduction is
            not the default, the loss is one scalar, or the mask does not fit.

    Example:

    >>> import tensorflow as tf
    >>> from tensorflow import keras
    >>> import tfk_patterns
    >>> features, targets = keras.Input((2,)), keras.Input((1,))
    >>> endpoint = tfk_patterns.layers.PredictionEndpoint("mse", ["mae"], name="end")
    >>> outputs = endpoint(keras.layers.Dense(1)(features), targets)
    >>> model = keras.Model([features, targets], outputs)
    >>> model.compile("sgd")
    >>> history = model.fit([tf.ones((4, 2)), tf.ones((4, 1))], verbose=0).history
    >>> sorted(history)
    ['end_loss', 'end_mae', 'loss']
    """

    def __init__(
        self,
        loss: str | Callable | keras.losses.Loss,
        metrics: Sequence[str | keras.metrics.Metric] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.loss = as_loss(loss)
        metrics = as_list(metrics)
        self._named = tuple(metric for metric in metrics if isinstance(metric, str))
        self.supports_masking = True
        _keras.keep_losses_per_replica(self)
        self.declare_metric("loss", "mean")
        for given in metrics:
            metric = as_metric(given)
            name = given if isinstance(given, str) else metric.name
            if name in self._declared():
                expected = f"metrics of different names, none of them {name!r} again"
                raise _validate.value_error("metrics", expected, metrics)
            self.declare_metric(name, metric)

    def build(self, input_shape) -> None:
        _validate.rank_at_least("predictions", input_shape, 2, "(batch, ...)")
        self.built = True

    def call(self, predictions, targets=None, sample_weight=None, mask=None) -> tf.Tensor:
        if mask is None:  # Keras 3 fills it in only where there is one tensor
            mask = _keras.attached_mask(predictions)
        mask = as_checked_mask(mask, predictions)
        if targets is None:
            return predictions
        wide = zero_masked(at_least_float32(predictions), mask)
        targets = _of_rank(tf.convert_to_tensor(targets), wide)
        if mask is not None and targets.shape.rank >= mask.shape.rank:
            targets = zero_masked(targets, mask)
        losses = self._losses_of(targets, wide)
        counted = tf.ones_like(losses) if mask is None else _spread(mask, losses, "mask")
        weights = counted
        if sample_weight is not None:
            weights *= _spread(sample_weight, losses, "sample_weight")
        number = mean_over_replicas(tf.reduce_sum(counted))
        loss = tf.math.divide_no_nan(tf.reduce_sum(losses * weights), number)
        # Keras 3 sums the losses of a model without a cast, so all have its default dtype.
        self.add_loss(tf.cast(loss, keras.backend.floatx()))
        self.update_metric("loss", losses, sample_weight=weights)
        weighted = {"mask": mask, "sample_weight": sample_weight}
        counted_in = tf.cast(wide, keras.backend.floatx())  # some metrics take no float64
        for name in self._declared()[1:]:
            self.update_metric(name, targets, counted_in, **weighted)
        return predictions

    def _losses_of(self, targets, predictions):
        is_object = isinstance(self.loss, keras.losses.Loss)
        losses = (self.loss.call if is_object else self.loss)(targets, predictions)
        losses = tf.convert_to_tensor(losses)
        if not losses.shape.rank:
            raise ValueError(
                "`loss` must return a value for each position, at least for each sample. Received: "
                f"loss={self.loss!r}, which returned a tensor of shape {tuple(losses.shape)}"
            )
        return at_least_float32(losses)

    def compute_mask(self, predictions, mask=None) -> tf.Tensor | None:
        mask = mask[0] if isinstance(mask, list | tuple) else mask
        return passed_on(mask, predictions)

    def compute_output_shape(
        self, predictions_shape, targets_shape=None, sample_weight_shape=None, mask_shape=None
    ) -> tuple[int | None, ...]:
        _validate.rank_at_least("predictions", predictions_shape, 2, "(batch, ...)")
        return predictions_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "loss": _keras.serialized_loss(self.loss),
            "metrics": [
                name if name in self._named else self._serialized_metric(name)
                for name in self._declared()[1:]
            ],
        }

    def _serialized_metric(self, name):
        serialized = keras.metrics.serialize(self._metric(name))
        return {**serialized, "config": {**serialized["config"], "name": name}}


def _of_rank(targets, predictions):
    """Targets with the last axis of size 1 that predictions have and they may lack."""
    lacks_axis = targets.shape.rank == predictions.shape.rank - 1
    if lacks_axis and predictions.shape[-1] == 1:
        return targets[..., tf.newaxis]
    return targets


def _spread(values, losses, name):
    """Values of leading axes for each position of the losses, in the dtype of the losses."""
    values = tf.cast(values, losses.dtype)
    if values.shape.rank == losses.shape.rank + 1 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.shape.rank > losses.shape.rank:
        raise ValueError(
            f"`{name}` must have no more axes than the loss has for each position. Received: "
            f"{name} of shape {tuple(values.shape)} for losses of shape {tuple(losses.shape)}"
        )
    return tf.broadcast_to(expand_mask(values, losses.shape.rank), tf.shape(losses))
