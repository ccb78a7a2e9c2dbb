"""What models with their own `train_step` need of Keras 2."""

import importlib

import tensorflow as tf
from tensorflow import keras

from tfk_patterns._keras.common import overrides, scales_loss, sublayers

# Whether `predict` fetches a batch and then calls a function, not a function of an iterator.
PREDICTS_ON_BATCHES = False


def functional_class() -> type:
    """The class of functional models, which has no public name."""
    return _private("functional").Functional


def _private(module):
    package = keras.layers.Layer.__module__.split(".")[0]
    return importlib.import_module(f"{package}.src.engine.{module}")


def functional_config(model) -> dict:
    """The config that a functional model has, whatever the constructor of its class."""
    config = {"name": model.name, "trainable": model.trainable}
    return _private("functional").get_network_config(model, config=config)


def symbolic_structures(model):
    """The inputs and outputs of a functional model, in the structures that it was made with."""
    return model._nested_inputs, model._nested_outputs


def build_for(model, x, y, sample_weight) -> None:
    """Makes the variables of a model, in a graph that is thrown away."""
    if not all(isinstance(leaf, tf.Tensor) for leaf in tf.nest.flatten(x)):  # ragged, sparse
        model(x, training=False)
        return
    with tf.__internal__.FuncGraph("build_scratch_graph").as_default():
        placeholders = tf.nest.map_structure(
            lambda tensor: tf.compat.v1.placeholder(tensor.dtype, tensor.shape), x
        )
        model(placeholders, training=False)


def total_loss(model, x, y, predictions, sample_weight, training: bool):
    """What `compute_loss` returns: this replica's share of the whole loss."""
    return model.compute_loss(x, y, predictions, sample_weight)


def compiled_losses(model) -> list:
    """The losses given to `compile`."""
    return tf.nest.flatten(model.compiled_loss._user_losses)


def logged_by_compute_loss(model) -> list[tf.Variable]:
    """The variables of the metric `loss`, where `compute_loss` updates it."""
    return model.compiled_loss._total_loss_mean.variables


def log_loss(model, loss, rows, predictions) -> None:
    """Updates the metric `loss` of a compiled model."""
    container = model.compiled_loss
    if not container.built:  # as where no loss of `compile` has been computed
        container.build(predictions)
    container._total_loss_mean.update_state(loss, sample_weight=rows)


def scaled_loss(optimizer, loss):
    """The loss, multiplied by the scale of an optimizer that has one."""
    return optimizer.get_scaled_loss(loss) if scales_loss(optimizer) else loss


def unscaled_gradients(optimizer, gradients: list) -> list:
    """The gradients of a scaled loss, divided by the scale."""
    return optimizer.get_unscaled_gradients(gradients) if scales_loss(optimizer) else gradients


def apply_mean_gradients(optimizer, gradients: list, weights: list) -> None:
    """Moves weights by gradients that all replicas share, in the units of the loss."""
    pairs = zip(gradients, weights, strict=True)
    if isinstance(optimizer, keras.optimizers.legacy.Optimizer):
        optimizer.apply_gradients(pairs, experimental_aggregate_gradients=False)
    else:
        optimizer.apply_gradients(pairs, skip_gradients_aggregation=True)


def adds_gradients_up(optimizer) -> bool:
    """Whether to give an optimizer what each replica has; here it can as well be told not to."""
    return False


def build_step(model, x, y, sample_weight) -> None:
    """Makes all variables of a training step, from tensors or their specs."""
    # What is logged in a way of the model's own is made in its first step, or not at all.
    plain = not any(overrides(model, method) for method in ("train_step", "compute_loss"))
    containers = [model.compiled_loss, model.compiled_metrics] if plain else []
    if not (model.built and all(container.built for container in containers)):
        with tf.__internal__.FuncGraph("build_scratch_graph").as_default():
            inputs, targets = tf.nest.map_structure(
                lambda spec: (
                    None if spec is None else tf.compat.v1.placeholder(spec.dtype, spec.shape)
                ),
                (x, y),
            )
            predictions = model(inputs, training=False)
        if plain and not model.compiled_loss.built:
            model.compiled_loss.build(predictions)
        if plain and not model.compiled_metrics.built:
            model.compiled_metrics.build(predictions, targets)
    build = getattr(model.optimizer, "build", None) or model.optimizer._create_all_weights
    build(model.trainable_variables)


def log_computed_loss(model, loss, rows) -> None:
    """Updates the metric `loss`, where `compute_loss` has not: here it has."""
    return  # AutoGraph cannot convert a function without a line


def update_metrics(model, x, y, predictions, sample_weight):
    """Updates the compiled metrics; what a `compute_metrics` of the model's own returns."""
    if overrides(model, "compute_metrics"):
        return model.compute_metrics(x, y, predictions, sample_weight)
    # Keras' own would add the results of all replicas up, in each step.
    model.compiled_metrics.update_state(y, predictions, sample_weight)
    return {}


def steps_per_execution(model) -> int:
    """What `compile` was given."""
    return int(model.steps_per_execution.numpy())


def step_counter(model, kind: str) -> tf.Variable:
    """The variable that counts the steps of a kind: "train", "test" or "predict"."""
    return getattr(model, f"_{kind}_counter")


def reset_step_counter(model, kind: str) -> None:
    """Sets the variable that counts the steps of a kind to 0."""
    step_counter(model, kind).assign(0)


def generator_states(model) -> list:
    """The states of random generators that are not among the variables."""
    holders = [getattr(layer, "_random_generator", None) for layer in sublayers(model)]
    generators = [getattr(holder, "_generator", None) for holder in holders]
    return [generator.state for generator in generators if generator is not None]


def tensorflow_variable(variable) -> tf.Variable:
    """The variable of TensorFlow in a variable of Keras."""
    return variable


def compiled_trainable_state(model):
    """Context manager: layers are trainable as they were in `compile`, as in `fit`."""
    return _private("training_utils").RespectCompiledTrainableState(model)
