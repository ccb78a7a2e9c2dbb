"""Metrics of the layer in the logs."""

import numpy as np

from tfk_patterns import _keras
from tfk_patterns.parity.calls.metric_recording import passes, results
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import blamed, in_one_line
from tfk_patterns.parity.objects import object_graph
from tfk_patterns.parity.outcome import Failure, Skip

_HIDDEN = (
    "Keras logs and resets the metrics in `layer.metrics`: make it an attribute of the layer "
    "itself in `__init__`, not of a plain object that Keras cannot see into."
)
_MADE = "Make metrics in `__init__`; in `call` only update them."
_LOST = "A metric is logged when it is in `layer.metrics` before training starts."
_WRONG = (
    "Keras resets the metrics at the start of each epoch, and nowhere else: do not reset one in "
    "`call`, and let `reset_state` put every variable of a metric of your own back."
)


@define_check(
    follows=("outputs", "metrics", "metric_names", "python_state", "eager_only"),
    link="https://keras.io/api/metrics/",
)
def metric_history(subject):
    """Each metric is in the history of `fit`, as recomputed over all batches of the epoch alone.

    `evaluate` too. What is recomputed is a new metric of the same config, from what the layer has
    given to `update_state`.

    Bug: What is not in `layer.metrics` is neither logged nor reset at the start of an epoch: it is
    missing in the history, and, read by hand, is a mean over all epochs, validation included. Keras
    3 itself once left out the metrics of inner layers
    (https://github.com/keras-team/keras/pull/19522).

    Broken::

        class Monitor:
            def __init__(self, name):
                self.activity = keras.metrics.Mean(name=f"{name}_activity")


        class Monitored(keras.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.monitor = Monitor(self.name)  # Keras does not look into it

            def call(self, inputs):
                self.monitor.activity.update_state(tf.abs(inputs))
                return inputs


        case = LayerCase(Monitored, steps)

    Mended::

        class Monitored(keras.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.activity = keras.metrics.Mean(name=f"{self.name}_activity")

            def call(self, inputs):
                self.activity.update_state(tf.abs(inputs))
                return inputs


        case = LayerCase(Monitored, steps)
    """
    if not _keras.metrics_of(subject.reference.layer) and not _hidden(subject.reference.layer):
        raise Skip("the layer has no metrics")
    layer = subject.layer()
    metrics = _keras.metrics_of(layer)
    _require_no_hidden(subject, layer)
    if len(_keras.metrics_of(layer)) != len(metrics):
        text = f"a call makes metrics: {len(_keras.metrics_of(layer))} after {len(metrics)}"
        raise Failure(text, "eager", _MADE)
    with blamed("`fit` and `evaluate` failed", "fit, eager", check="fit"):
        metrics, made = passes(subject)
    for place, metric in enumerate(metrics):
        if not any(one.updates[place] for one in made):
            subject.tally.left_out[metric.name] = "`update_state` of the metric is not called"
            continue
        for one in made:
            if _compare(subject, metric, one, place):
                _require_all_batches(metric, one, place)
    subject.skip_if_nothing("no metric could be recomputed")


def _hidden(layer) -> dict:
    """Metrics that the layer holds, but does not list."""
    metrics = _keras.metrics_of(layer)
    known = {id(metric) for metric in metrics}
    known |= {id(part) for metric in metrics for part in vars(metric).values()}
    return {
        found.path: found.thing
        for found in object_graph.reachable(layer, "layer")
        if _keras.is_metric(found.thing) and id(found.thing) not in known
    }


def _require_no_hidden(subject, layer):
    hidden = _hidden(layer)
    before = {path: _state(metric) for path, metric in hidden.items()}
    for training in (False, True):
        subject.call(layer, training=training)
    for path, metric in hidden.items():
        after = _state(metric)
        if not all(np.array_equal(*pair) for pair in zip(before[path], after, strict=True)):
            text = f"the metric {metric.name!r} is updated, but is not in `layer.metrics`"
            raise Failure(text, path, _HIDDEN)


def _compare(subject, metric, one, place) -> bool:
    """Compares the logs of a pass with a recomputation; returns whether there can be one."""
    try:
        wanted = results(metric, one.updates[place])
    except Exception as error:  # a metric without a full `get_config` may still be right
        subject.tally.left_out[metric.name] = f"it cannot be rebuilt: {in_one_line(error)}"
        return False
    for name, value in wanted.items():
        if name not in one.logs:
            listed = ", ".join(sorted(one.logs))
            raise Failure(f"there is no {name!r} in the logs: {listed}", one.label, _LOST)
        found = np.asarray(one.logs[name], np.float32)
        source = "a recomputation over all batches"
        subject.compare(value, found, one.label, name, _WRONG, source=source)
    return True


def _require_all_batches(metric, one, place):
    """A metric of the user's own may hold the last batch alone, alike wherever it is computed."""
    updates = one.updates[place]
    if len(updates) != 2 or _keras.is_keras_own(type(metric)):
        return
    first, last, both, turned = (
        results(metric, part) for part in (updates[:1], updates[1:], updates, updates[::-1])
    )
    for name in both:
        ends_alike = np.array_equal(both[name], last[name])
        if ends_alike and np.array_equal(turned[name], first[name]) and first[name] != last[name]:
            raise Failure(
                f"{name!r} of two batches is that of the second alone, {last[name]:.7g}, in "
                "whichever order",
                one.label,
                "`update_state` must add to what the metric holds, by `assign_add`.",
            )


def _state(metric) -> list[np.ndarray]:
    return [np.asarray(variable) for variable in metric.variables]
