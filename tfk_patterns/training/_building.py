"""Models that are ready for a step."""

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, _validate


def check_model(model):
    """The model, if a loop can train it."""
    if not isinstance(model, keras.Model):
        raise _validate.type_error("model", "a keras.Model", model)
    if not _keras.is_compiled(model):
        raise ValueError(
            f"`model` must be compiled, as for `fit`. Received: {model.name!r}, not compiled"
        )
    if isinstance(model.distribute_strategy, tf.distribute.ParameterServerStrategy):
        raise ValueError(
            "`model` must be made in a strategy whose replicas take their steps together. "
            f"Received: a model of {type(model.distribute_strategy).__name__}"
        )
    return model


def build(model, spec, has_checkpoints: bool = False) -> None:
    """Makes the variables of a model, its loss, metrics and optimizer, in the strategy's scope.

    Where it has to: on a replica they cannot be made later, and a checkpoint needs them before.
    Else the first step makes them, as in `fit`, of whatever data a model takes.

    Args:
        model: The model.
        spec: The structure of a batch, in `tf.TensorSpec`s.
        has_checkpoints: Whether the run has checkpoints.
    """
    replicas = model.distribute_strategy.num_replicas_in_sync
    has_own = _keras.overrides(model, "train_step")
    if replicas == 1 and (has_own or not has_checkpoints):
        return
    if not all(isinstance(leaf, tf.TensorSpec) for leaf in tf.nest.flatten(spec)):
        return
    if has_own and not _keras.overrides(model, "call"):
        return  # what such a model calls, it alone knows
    _keras.build_step(model, *keras.utils.unpack_x_y_sample_weight(spec))
