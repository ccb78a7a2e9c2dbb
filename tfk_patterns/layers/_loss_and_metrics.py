"""A loss and metrics as arguments of a layer, as `compile` takes them."""

from collections.abc import Sequence

from tensorflow import keras

from tfk_patterns import _keras, _validate
from tfk_patterns.layers._keras_arguments import as_keras_object


def as_loss(loss):
    """The loss of the argument `loss`: a function of each position, or an object to `call`."""
    expected = "the name of a Keras loss, a function, or a keras.losses.Loss object"
    if loss is None or isinstance(loss, type):
        raise _validate.type_error("loss", expected, loss)
    found = as_keras_object("loss", loss, _keras.loss_of, expected)
    reduction = getattr(found, "reduction", "sum_over_batch_size")
    if reduction not in ("auto", "sum_over_batch_size"):
        raise ValueError(
            "`loss` must have the default reduction, which the layer takes over the valid "
            f"positions. Received: loss={loss!r} with reduction={reduction!r}"
        )
    return found


def as_list(metrics) -> Sequence:
    """The argument `metrics` as a list."""
    metrics = [] if metrics is None else metrics
    if not isinstance(metrics, list | tuple):
        raise _validate.type_error("metrics", "a list of metrics", metrics)
    return metrics


def as_metric(metric) -> keras.metrics.Metric:
    """The metric that one entry of the argument `metrics` stands for."""
    expected = "names of Keras metrics, or keras.metrics.Metric objects"
    if isinstance(metric, keras.metrics.Metric):
        return metric
    if not isinstance(metric, str | dict):
        raise _validate.type_error("metrics", expected, metric)
    if metric in ("accuracy", "acc", "crossentropy", "ce"):
        raise ValueError(
            '`metrics` must name a metric in full, as "binary_accuracy" or '
            '"sparse_categorical_accuracy": which one a short name stands for only `compile` '
            f"finds out. Received: {metric!r}"
        )
    found = as_keras_object("metrics", metric, keras.metrics.get, expected)
    if isinstance(found, keras.metrics.Metric):
        return found
    return keras.metrics.MeanMetricWrapper(found, name=metric)
