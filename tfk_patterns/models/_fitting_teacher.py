"""Whether a teacher, a student and the loss of `compile` fit together."""

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, _validate


def check_teacher(teacher, from_logits: bool) -> None:
    """Raises where it is no teacher, or ends in what `from_logits` says it does not.

    Raises:
        TypeError: It is no model.
        ValueError: It is not built, or its last layer contradicts `from_logits`.
    """
    if not isinstance(teacher, keras.Model):
        raise _validate.type_error("teacher", "a keras.Model", teacher)
    if not teacher.built:
        raise ValueError(
            "`teacher` must be a built, trained model: an unbuilt one has no weights yet. "
            f"Received: teacher={teacher!r}"
        )
    if not isinstance(teacher, _keras.functional_class() | keras.Sequential):
        return  # the layer that was made last need not be the one that is called last
    last = teacher.layers[-1]
    name = getattr(getattr(last, "activation", None), "__name__", None)
    ends_in_softmax = name == "softmax" or isinstance(last, keras.layers.Softmax)
    if (from_logits and ends_in_softmax) or (not from_logits and name == "linear"):
        raise ValueError(
            f"`from_logits` must be {not from_logits} for a teacher that ends in "
            f"{'a softmax' if ends_in_softmax else 'logits'}. Received: from_logits={from_logits}"
        )


def check_inputs(teacher, student) -> None:
    """Raises a `ValueError` where functional models take other inputs."""
    shapes = [
        [tuple(one.shape) for one in getattr(model, "inputs", None) or []]
        for model in (teacher, student)
    ]
    if not all(shapes):
        return  # they are not known yet
    fit = len(shapes[0]) == len(shapes[1]) and all(
        tf.TensorShape(one).is_compatible_with(other) for one, other in zip(*shapes, strict=True)
    )
    if not fit:
        raise ValueError(
            "`teacher` must take the student's inputs. Received: a teacher with inputs of "
            f"{shapes[0]} for a student with {shapes[1]}"
        )


def check_outputs(wanted, predictions) -> None:
    """Raises a `ValueError` where the teacher's outputs do not fit those of the student."""
    shapes = [
        tf.nest.map_structure(lambda output: tf.TensorShape(output.shape), outputs)
        for outputs in (wanted, predictions)
    ]
    try:
        tf.nest.assert_same_structure(*shapes)
        pairs = list(zip(*map(tf.nest.flatten, shapes), strict=True))
    except (TypeError, ValueError):
        pairs = []
    if not pairs or not all(teacher.is_compatible_with(student) for teacher, student in pairs):
        teacher, student = (tf.nest.map_structure(tuple, one) for one in shapes)
        raise ValueError(
            "`teacher` must have outputs of the student's structure and shapes, "
            f"(batch, ..., classes). Received: a teacher with outputs of {teacher} for a student "
            f"with {student}"
        )
    if any(student.rank and student[-1] == 1 for _, student in pairs):
        raise ValueError(
            "`teacher` must have an output for each class: the probability of one class alone is "
            "always 1. For two classes end both models in two outputs. Received: outputs of shape "
            f"{tuple(pairs[0][0])}"
        )


def check_loss(loss, from_logits: bool) -> None:
    """Raises a `ValueError` where a loss of `compile` takes outputs for something else."""
    found = keras.losses.get(loss) if isinstance(loss, str) else loss
    takes_logits = None
    if isinstance(found, keras.losses.Loss) and _keras.is_keras_own(type(found)):
        takes_logits = found.get_config().get("from_logits")
    elif _keras.is_keras_own(found) and "crossentropy" in getattr(found, "__name__", ""):
        takes_logits = False  # their default
    if takes_logits is not None and takes_logits != from_logits:
        raise ValueError(
            f"`from_logits` must be what the loss given to `compile` says, {takes_logits}. "
            f"Received: from_logits={from_logits}, loss={loss!r}"
        )
