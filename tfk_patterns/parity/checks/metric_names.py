"""Names of metrics."""

from tfk_patterns import _keras
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import in_one_line
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.saving import reloading

_HINT = (
    "Keras logs metrics by name, and the last of one name wins: put the name of the layer into "
    'it, as in keras.metrics.Mean(name=f"{self.name}_norm"); '
    "`tfk_patterns.layers.MetricTracking` does so."
)


@define_check(
    follows=("outputs",),
    link="https://github.com/tensorflow/tensorflow/issues/32144",
    fast=True,
)
def metric_names(subject):
    """No two metrics have one name: neither in the layer, nor in two such layers in one model.

    Bug: Keras logs metrics by name, and where two layers of a model use one name, the last one's
    value is in the history, in the progress bar and in what EarlyStopping watches. The other is
    lost without a word (https://github.com/tensorflow/tensorflow/issues/32144).

    Broken::

        class Monitored(keras.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.activity = keras.metrics.Mean(name="activity")

            def call(self, inputs):
                self.activity.update_state(tf.abs(inputs))
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
    if not _keras.metrics_of(subject.reference.layer):
        raise Skip("the layer has no metrics")
    layer = subject.layer()
    names = [metric.name for metric in _keras.metrics_of(layer)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise Failure(f"two metrics of the layer have the name {repeated[0]!r}", hint=_HINT)
    other = subject.layer()
    if other.name == layer.name:
        other = _renamed(subject, layer)
    for metric in _keras.metrics_of(other):
        if metric.name in names:
            raise Failure(
                f"the layers {layer.name!r} and {other.name!r} both have a metric with the name "
                f"{metric.name!r}",
                "two layers in one model",
                _HINT,
            )


def _renamed(subject, layer):
    """Such a layer under another name, which Keras asks for in one model."""
    inner = [part.name for part in _keras.sublayers(layer) if part is not layer]
    reason = "`make` fixes the layer's name, and a model cannot hold two of one name"
    if any(name in metric.name for name in inner for metric in _keras.metrics_of(layer)):
        raise Skip(f"{reason}; the layers in it, which name the metrics, come with its config")
    try:
        other = reloading.from_config(layer, name=f"{layer.name}_other")
    except Exception as error:  # the matter of `config`
        raise Skip(f"{reason}; its config cannot rename it: {in_one_line(error)}") from error
    return subject.reference.built(other)
