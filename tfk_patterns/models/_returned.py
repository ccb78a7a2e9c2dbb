"""What a `compute_gradients` returned, checked while the step is traced."""

import numbers

import tensorflow as tf

from tfk_patterns import _keras

_EXPECTED = "return `(gradients, loss, predictions)`"


def checked(model, returned) -> tuple:
    """The gradients as a list, the loss as a scalar tensor, and the predictions.

    Raises:
        TypeError: It is no tuple of three, or a part has the wrong type.
        ValueError: The gradients do not fit the trainable weights, or the loss is no scalar.
    """
    where = f"`{type(model).__name__}.compute_gradients`"
    if not isinstance(returned, tuple) or len(returned) != 3:
        count = f" of {len(returned)}" if isinstance(returned, tuple | list) else ""
        raise TypeError(f"{where} must {_EXPECTED}. Received: a {type(returned).__name__}{count}")
    gradients, loss, predictions = returned
    if not isinstance(gradients, list | tuple):
        raise TypeError(
            f"{where} must {_EXPECTED}, with a list of gradients. Received: gradients of type "
            f"{type(gradients).__name__}"
        )
    check_gradients(model, gradients, where)
    loss = tf.constant(loss, tf.float32) if isinstance(loss, numbers.Real) else loss
    if loss is None or predictions is None:
        missing = "loss" if loss is None else "predictions"
        raise TypeError(f"{where} must {_EXPECTED}. Received: {missing}=None")
    if not tf.is_tensor(loss) or not loss.dtype.is_floating:
        raise TypeError(f"{where} must {_EXPECTED}, with a loss of floats. Received: loss={loss!r}")
    if loss.shape.rank not in (0, None):
        raise ValueError(
            f"{where} must {_EXPECTED}, with the mean loss over the samples, a scalar. Received: "
            f"loss of shape {tuple(loss.shape)}"
        )
    return list(gradients), loss, predictions


def check_loss_and_predictions(model, returned) -> None:
    """Raises a `TypeError` where the function given to `differentiate` returned something else."""
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise TypeError(
            f"`function` must return `(loss, predictions)`, in `{type(model).__name__}."
            f"differentiate`. Received: a {type(returned).__name__}"
        )


def check_gradients(model, gradients, where: str) -> None:
    """Raises a `TypeError` or `ValueError` where they are not those of the trainable weights."""
    weights = model.trainable_weights
    if len(gradients) != len(weights):
        raise ValueError(
            f"{where} must give one gradient for each of the {len(weights)} trainable weights, in "
            f"their order, `None` where there is none. Received: {len(gradients)} gradients"
        )
    for gradient, weight in zip(gradients, weights, strict=True):
        if gradient is None:
            continue
        is_gradient = isinstance(gradient, tf.IndexedSlices) or tf.is_tensor(gradient)
        if not is_gradient or not gradient.dtype.is_floating:
            pairs = " (the weights that belong to them are known)"
            raise TypeError(
                f"{where} must give gradients that are tensors of floats, or `None`"
                f"{pairs if isinstance(gradient, tuple) else ''}. Received: {gradient!r}"
            )
        if not tf.TensorShape(weight.shape).is_compatible_with(gradient.shape):
            raise ValueError(
                f"{where} must give gradients of the shapes of the trainable weights. Received: a "
                f"gradient of shape {tuple(gradient.shape)} for {_keras.variable_name(weight)}, "
                f"of shape {tuple(weight.shape)}"
            )
