"""What a replica does with its share of a batch: the loop of the talk, one step of it."""

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns._kept_values import put_back
from tfk_patterns._replicas import replica_count, samples_in, sum_gradients, sum_over_replicas


def train_step(model, data, whole):
    """Forward pass, loss, gradients, update, metrics; equal to one device on several replicas.

    Args:
        model: The model.
        data: What this replica has of a batch: `(x, y, sample_weight)`, or less.
        whole: The samples that all replicas have of it; `None` to ask them.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape() as tape:
        predictions = model(x, training=True)
        loss = _loss(model, x, y, predictions, sample_weight, whole, training=True)
        scaled = _keras.scaled_loss(model.optimizer, loss)
    gradients = _of_samples(tape.gradient(scaled, _keras.trainable_variables(model)), x)
    _apply(model.optimizer, gradients, model.trainable_weights)
    return _keras.update_metrics(model, x, y, predictions, sample_weight)


def test_step(model, data, whole):
    """Forward pass, loss, metrics; the arguments are those of `train_step`."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    predictions = model(x, training=False)
    _loss(model, x, y, predictions, sample_weight, whole, training=False)
    return _keras.update_metrics(model, x, y, predictions, sample_weight)


def _loss(model, x, y, predictions, sample_weight, whole, training: bool):
    """What this replica adds to the compiled loss plus `model.losses`, which is logged."""
    replicas, samples = replica_count(), samples_in(x)
    if replicas == 1:
        loss = _keras.total_loss(model, x, y, predictions, sample_weight, training)
        _keras.log_computed_loss(model, loss, samples)
        return loss
    with put_back(_keras.logged_by_compute_loss(model)):  # which counts replicas alike
        loss = _keras.total_loss(model, x, y, predictions, sample_weight, training)
    whole = tf.cast(sum_over_replicas(samples) if whole is None else whole, loss.dtype)
    share = tf.cast(samples, loss.dtype) / whole
    if _sums_samples(model):
        # Keras has divided what layers add by the number of replicas, and left the sums alone.
        added = tf.add_n([tf.zeros_like(loss), *(tf.cast(one, loss.dtype) for one in model.losses)])
        loss += (share - 1 / replicas) * added
    else:
        loss *= replicas * share
    loss = tf.where(samples > 0, loss, tf.zeros_like(loss))  # a mean of nothing is NaN
    _keras.log_loss(model, loss * replicas, whole / replicas, predictions)
    return loss


def _of_samples(gradients: list, x) -> list:
    """Gradients, which are 0 where the replica has no samples, though means of nothing are NaN."""
    there = [gradient for gradient in gradients if gradient is not None]
    first = next(leaf for leaf in tf.nest.flatten(x) if leaf is not None)
    if replica_count() == 1 or first.shape[0] or not there:
        return gradients
    zeros = lambda: _keras.map_gradients(tf.zeros_like, there)  # noqa: E731
    finite = iter(tf.cond(samples_in(x) > 0, lambda: there, zeros))
    return [None if gradient is None else next(finite) for gradient in gradients]


def _sums_samples(model) -> bool:
    """Whether the compiled loss is a sum over samples, and no mean."""
    losses = [one for one in _keras.compiled_losses(model) if one is not None]
    sums = [getattr(one, "reduction", None) == "sum" for one in losses]
    if any(sums) and not all(sums):
        raise ValueError(
            "`loss` must have one reduction for all outputs, where several replicas share a batch. "
            "Received: sums and means"
        )
    return any(sums)


def _apply(optimizer, gradients, weights):
    """Moves the weights by the sum of the replicas' gradients."""
    if _keras.adds_gradients_up(optimizer):
        optimizer.apply_gradients(zip(gradients, weights, strict=True))
    else:
        gradients = sum_gradients(_keras.unscaled_gradients(optimizer, gradients))
        _keras.apply_mean_gradients(optimizer, gradients, weights)
