"""The divergence between a teacher and a student, and whether the two fit."""

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


def check_shapes(wanted, predictions) -> None:
    """Raises a `ValueError` where the teacher's outputs do not fit those of the student."""
    shapes = [
        [tuple(output.shape) for output in tf.nest.flatten(outputs)]
        for outputs in (wanted, predictions)
    ]
    teacher, student = shapes
    fit = len(teacher) == len(student) and all(
        tf.TensorShape(one).is_compatible_with(other)
        for one, other in zip(teacher, student, strict=True)
    )
    if not fit:
        raise ValueError(
            "`teacher` must have outputs of the student's shapes, (batch, ..., classes). Received: "
            f"a teacher with outputs of {_text(teacher)} for a student with {_text(student)}"
        )


def _text(shapes: list) -> str:
    return ", ".join(map(str, shapes))


def check_softmax(teacher, from_logits: bool) -> None:
    """Raises a `ValueError` where a teacher ends in what `from_logits` says it does not."""
    last = teacher.layers[-1] if teacher.layers else None
    name = getattr(getattr(last, "activation", None), "__name__", None)
    ends_in_softmax = name == "softmax" or isinstance(last, keras.layers.Softmax)
    if (from_logits and ends_in_softmax) or (not from_logits and name == "linear"):
        raise ValueError(
            f"`from_logits` must be {not from_logits} for a teacher that ends in "
            f"{'a softmax' if ends_in_softmax else 'logits'}. Received: from_logits={from_logits}"
        )


def check_logits(loss, from_logits: bool) -> None:
    """Raises a `ValueError` where a loss of `compile` takes outputs for something else."""
    takes_logits = None
    if isinstance(loss, keras.losses.Loss):
        takes_logits = loss.get_config().get("from_logits")
    elif "crossentropy" in (loss if isinstance(loss, str) else getattr(loss, "__name__", "")):
        takes_logits = False  # their default
    if takes_logits is not None and takes_logits != from_logits:
        raise ValueError(
            f"`from_logits` must be what the loss given to `compile` says, {takes_logits}. "
            f"Received: from_logits={from_logits}, loss={loss!r}"
        )
