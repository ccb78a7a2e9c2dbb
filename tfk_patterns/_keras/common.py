"""What both generations spell alike, though neither documents all of it."""

from tensorflow import keras


def register(cls: type) -> type:
    """Class decorator: registers a Keras object under the package `tfk_patterns`."""
    return keras.utils.register_keras_serializable(package="tfk_patterns")(cls)


def attach_mask(tensor, mask) -> None:
    """Attaches a Keras mask to a tensor, as an upstream layer would."""
    tensor._keras_mask = mask


def attached_mask(tensor):
    """The Keras mask attached to a tensor, or `None`."""
    return getattr(tensor, "_keras_mask", None)


def metrics_of(layer) -> list:
    """The metrics of the layer and of the layers in it, each once."""
    return list({id(metric): metric for metric in layer.metrics}.values())


def state_variables(layer) -> list:
    """Every variable of the layer, random state included, each once, metrics' left out."""
    owned_by_metrics = {id(v) for metric in layer.metrics for v in metric.variables}
    found = {id(v): v for v in layer.variables if id(v) not in owned_by_metrics}
    return list(found.values())


def sublayers(layer) -> list:
    """The layer and all layers in it, each once."""
    return list({id(part): part for part in layer._flatten_layers()}.values())
