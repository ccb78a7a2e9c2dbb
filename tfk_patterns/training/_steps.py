"""What a replica does with its share of a batch: the loop of the talk, one step of it."""

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns._replicas import replica_count, samples_in, share_of_samples, sum_gradients


def train_step(model, data):
    """Forward pass, loss, gradients, update, metrics; equal to one device on several replicas."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape() as tape:
        predictions = model(x, training=True)
        loss, share = _loss_and_share(model, x, y, predictions, sample_weight, training=True)
        scaled = _keras.scaled_loss(model.optimizer, _part(loss, share))
    gradients = tape.gradient(scaled, _keras.trainable_variables(model))
    gradients = sum_gradients(_keras.unscaled_gradients(model.optimizer, gradients))
    _keras.apply_mean_gradients(model.optimizer, gradients, model.trainable_weights)
    return _log(model, x, y, predictions, sample_weight, loss)


def test_step(model, data):
    """Forward pass, loss, metrics."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    predictions = model(x, training=False)
    loss, _ = _loss_and_share(model, x, y, predictions, sample_weight, training=False)
    return _log(model, x, y, predictions, sample_weight, loss)


def _loss_and_share(model, x, y, predictions, sample_weight, training):
    """The compiled loss of this replica's samples plus `model.losses`; its weight in the whole."""
    loss = _keras.total_loss(model, x, y, predictions, sample_weight, training)
    if replica_count() == 1:
        return loss, None
    # Keras has divided means by the number of replicas, as if their shares were equal.
    loss = tf.where(samples_in(x) > 0, loss * replica_count(), tf.zeros_like(loss))
    if any(getattr(one, "reduction", None) == "sum" for one in _keras.compiled_losses(model)):
        return loss, 1 / replica_count()
    return loss, tf.cast(share_of_samples(x), loss.dtype)


def _part(loss, share):
    return loss if share is None else loss * share


def _log(model, x, y, predictions, sample_weight, loss):
    _keras.log_computed_loss(model, loss, samples_in(x))
    return _keras.update_metrics(model, x, y, predictions, sample_weight)
