"""What models with their own `train_step` need of Keras 3."""

import contextlib
import importlib

import tensorflow as tf

from tfk_patterns._keras.common import inner_optimizer, map_gradients, scales_loss

# Whether `predict` fetches a batch and then calls a function, not a function of an iterator.
PREDICTS_ON_BATCHES = True


def functional_class() -> type:
    """The class of functional models, which has no public name."""
    return importlib.import_module("keras.src.models.functional").Functional


def functional_config(model) -> dict:
    """The config that a functional model has, whatever the constructor of its class."""
    # Keras asks the class of the model for its constructor: this one shares all else with it.
    plain = object.__new__(functional_class())
    object.__setattr__(plain, "__dict__", vars(model))
    return functional_class().get_config(plain)


def symbolic_structures(model):
    """The inputs and outputs of a functional model, in the structures that it was made with."""
    return model._inputs_struct, model._outputs_struct


def build_for(model, x, y, sample_weight) -> None:
    """Makes the variables of a model, and of its compiled loss and metrics, as `fit` can."""
    if not all(isinstance(leaf, tf.Tensor) for leaf in tf.nest.flatten(x)):  # ragged, sparse
        model(x, training=False)
        return
    model._symbolic_build(data_batch=(x, y, sample_weight))


def total_loss(model, x, y, predictions, sample_weight, training: bool):
    """What `compute_loss` returns: this replica's share of the whole loss."""
    return model._compute_loss(x, y, predictions, sample_weight, training=training)


def compiled_losses(model) -> list:
    """The losses given to `compile`."""
    container = model._compile_loss
    return [] if container is None else tf.nest.flatten(container._user_loss)


def logged_by_compute_loss(model) -> list[tf.Variable]:
    """The variables of the metric `loss`, where `compute_loss` updates it: here it does not."""
    return []


def log_loss(model, loss, rows, predictions) -> None:
    """Updates the metric `loss` of a compiled model."""
    model._loss_tracker.update_state(loss, sample_weight=rows)


def scaled_loss(optimizer, loss):
    """The loss, multiplied by the scale of an optimizer that has one."""
    return optimizer.scale_loss(loss)


def unscaled_gradients(optimizer, gradients: list) -> list:
    """The gradients of a scaled loss, divided by the scale."""
    if not _has_scale(optimizer):
        return gradients
    scale = tf.convert_to_tensor(optimizer.scale_loss(1.0))
    return map_gradients(lambda values: _exact(values) / scale, gradients)


def apply_mean_gradients(optimizer, gradients: list, weights: list) -> None:
    """Moves weights by gradients that all replicas share, in the units of the loss.

    Keras 3 clips what a replica has before it adds the replicas up, and looks for infinities on the
    first one alone (docs/findings.md). Here each gives its share of the clipped mean, of which
    nothing more is clipped.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas > 1:
        pairs = [pair for pair in zip(gradients, weights, strict=True) if pair[0] is not None]
        clipped = inner_optimizer(optimizer)._clip_gradients([gradient for gradient, _ in pairs])
        gradients = map_gradients(lambda values: values / replicas, clipped)
        weights = [weight for _, weight in pairs]
    if _has_scale(optimizer):
        scale = tf.convert_to_tensor(optimizer.scale_loss(1.0))
        gradients = map_gradients(lambda values: _exact(values) * scale, gradients)
    optimizer.apply_gradients(zip(gradients, weights, strict=True))


def adds_gradients_up(optimizer) -> bool:
    """Whether an optimizer that is given what each replica has does right with it.

    As long as it neither clips nor looks for infinities; then nothing need be added up before.
    """
    inner = inner_optimizer(optimizer)
    clips = any(getattr(inner, name) for name in ("clipnorm", "global_clipnorm", "clipvalue"))
    return not (clips or _has_scale(optimizer))


def _exact(values):
    """The gradient of a half precision weight in float32, as that of the scale."""
    return tf.cast(values, tf.float32) if values.dtype.size < 4 else values


def _has_scale(optimizer) -> bool:
    return scales_loss(optimizer) or optimizer.loss_scale_factor is not None


def build_step(model, x, y, sample_weight) -> None:
    """Makes all variables of a training step, from tensors or their specs."""
    model._symbolic_build(data_batch=(x, y, sample_weight))


def log_computed_loss(model, loss, rows) -> None:
    """Updates the metric `loss`, where `compute_loss` has not."""
    model._loss_tracker.update_state(loss, sample_weight=rows)


def update_metrics(model, x, y, predictions, sample_weight):
    """Updates the compiled metrics; what `compute_metrics` returns on this replica."""
    return model.compute_metrics(x, y, predictions, sample_weight)


def steps_per_execution(model) -> int:
    """What `compile` was given."""
    return model.steps_per_execution


def step_counter(model, kind: str):
    """The variable that counts the steps of a kind, where Keras has one: here it has none."""
    return None


def reset_step_counter(model, kind: str) -> None:
    """Sets the variable that counts the steps of a kind to 0, where Keras has one."""


def generator_states(model) -> list:
    """The states of random generators that are not among the variables: there are none."""
    return []


def tensorflow_variable(variable) -> tf.Variable:
    """The variable of TensorFlow in a variable of Keras."""
    return variable if isinstance(variable, tf.Variable) else variable.value


def compiled_trainable_state(model):
    """Context manager: layers are trainable as in `compile`; here they are as they are."""
    return contextlib.nullcontext()
