"""The divergence between a teacher and a student."""

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras


def mean_divergence(wanted, predictions, sample_weight, temperature: float, from_logits: bool):
    """The mean Kullback-Leibler divergence over the positions, summed over the outputs.

    Args:
        wanted: The teacher's outputs, `(batch, ..., classes)`, or a structure of such tensors.
        predictions: The student's, likewise, with their masks.
        sample_weight: Weights on the leading axes, for all outputs or for each, or `None`.
        temperature: What logits are divided by.
        from_logits: Whether these are logits; else they are probabilities.
    """
    wanted, predictions = tf.nest.flatten(wanted), tf.nest.flatten(predictions)
    weights = tf.nest.flatten(sample_weight)
    weights = weights if len(weights) == len(predictions) else weights * len(predictions)
    total = 0.0
    for teacher, student, weight in zip(wanted, predictions, weights, strict=True):
        teacher_logs, student_logs = (
            tf.nn.log_softmax(_logits(outputs, from_logits) / temperature)
            for outputs in (teacher, student)
        )
        divergence = tf.reduce_sum(tf.exp(teacher_logs) * (teacher_logs - student_logs), axis=-1)
        total += _mean(divergence, weight, _keras.attached_mask(student))
    return total


def _logits(outputs, from_logits: bool) -> tf.Tensor:
    outputs = tf.cast(outputs, tf.float64 if outputs.dtype == tf.float64 else tf.float32)
    return outputs if from_logits else tf.math.log(tf.maximum(outputs, keras.backend.epsilon()))


def _mean(values, weight, mask) -> tf.Tensor:
    count = tf.cast(tf.size(values), values.dtype)
    if mask is not None:
        mask = tf.broadcast_to(_with_rank(mask, values.shape.rank), tf.shape(values))
        values = tf.where(mask, values, tf.zeros_like(values))
        count = tf.reduce_sum(tf.cast(mask, values.dtype))
    if weight is not None:
        values *= tf.cast(_with_rank(weight, values.shape.rank), values.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(values), count)


def _with_rank(tensor, rank: int) -> tf.Tensor:
    """A mask or weights with axes of size 1 at the end, or without those that are too many."""
    tensor = tf.convert_to_tensor(tensor)
    while tensor.shape.rank > rank:
        tensor = tf.squeeze(tensor, -1)
    while tensor.shape.rank < rank:
        tensor = tensor[..., tf.newaxis]
    return tensor
