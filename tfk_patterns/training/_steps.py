"""What a replica does with its share of a batch: the loop of the talk, one step of it."""

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns._replicas import replica_count, samples_in, share_of_samples, sum_gradients


def train_step(model, data, fraction=None):
    """Forward pass, loss, gradients, update, metrics; equal to one device on several replicas.

    Args:
        model: The model.
        data: What this replica has of a batch: `(x, y, sample_weight)`, or less.
        fraction: The part of the batch's samples that it has; `None` to ask the other replicas.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape() as tape:
        predictions = model(x, training=True)
        loss = _loss(model, x, y, predictions, sample_weight, training=True)
        scaled = _keras.scaled_loss(model.optimizer, _part_of_whole(model, loss, x, fraction))
    gradients = tape.gradient(scaled, _keras.trainable_variables(model))
    _apply(model.optimizer, gradients, model.trainable_weights)
    return _log(model, x, y, predictions, sample_weight, loss)


def test_step(model, data):
    """Forward pass, loss, metrics."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    predictions = model(x, training=False)
    loss = _loss(model, x, y, predictions, sample_weight, training=False)
    return _log(model, x, y, predictions, sample_weight, loss)


def _loss(model, x, y, predictions, sample_weight, training):
    """The compiled loss of this replica's samples, plus `model.losses`."""
    loss = _keras.total_loss(model, x, y, predictions, sample_weight, training)
    if replica_count() == 1:
        return loss
    # Keras has divided it by the number of replicas, as if their shares were equal.
    return tf.where(samples_in(x) > 0, loss * replica_count(), tf.zeros_like(loss))


def _part_of_whole(model, loss, x, fraction):
    """What the loss of this replica adds to that of all."""
    if replica_count() == 1:
        return loss
    if any(getattr(one, "reduction", None) == "sum" for one in _keras.compiled_losses(model)):
        return loss / replica_count()
    return loss * tf.cast(share_of_samples(x) if fraction is None else fraction, loss.dtype)


def _apply(optimizer, gradients, weights):
    """Moves the weights by the sum of the replicas' gradients."""
    if _keras.adds_gradients_up(optimizer):
        optimizer.apply_gradients(zip(gradients, weights, strict=True))
    else:
        gradients = sum_gradients(_keras.unscaled_gradients(optimizer, gradients))
        _keras.apply_mean_gradients(optimizer, gradients, weights)


def _log(model, x, y, predictions, sample_weight, loss):
    _keras.log_computed_loss(model, loss, samples_in(x))
    return _keras.update_metrics(model, x, y, predictions, sample_weight)
