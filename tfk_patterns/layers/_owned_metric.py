"""Metrics that a layer owns: updated by it alone, and in no file."""

import threading
import types

_updating = threading.local()  # each replica has its thread


def own(metric, owner: str) -> None:
    """Makes a metric one that `update` alone updates, and that files neither hold nor need.

    A `train_step` may update all metrics of the model with targets and predictions, which would
    make other numbers of it without a word. Files would hold the sums of an epoch, which starts
    anew, perhaps with another number of replicas; and Keras 2 cannot load them under a strategy.
    """
    metric.owner = owner
    metric.update_of_class = metric.update_state
    metric.update_state = types.MethodType(_update_by_owner, metric)
    metric.save_own_variables = metric.load_own_variables = _leave_out


def update(metric, *values, **weights) -> None:
    """Updates an owned metric."""
    _updating.metric = metric
    try:
        metric.update_state(*values, **weights)
    finally:
        _updating.metric = None


def _update_by_owner(metric, *args, **kwargs):
    if getattr(_updating, "metric", None) is not metric:
        raise RuntimeError(
            f"The metric {metric.name!r} is updated by its layer alone, {metric.owner!r}. In a "
            "`train_step` of your own update no others than those of `compile`: "
            "`self.compute_metrics(x, y, y_pred, sample_weight)` does so and returns the logs, "
            "where a loop over `self.metrics` updates those of layers too."
        )
    return metric.update_of_class(*args, **kwargs)


def _leave_out(store) -> None:
    """Neither saves nor loads."""
