"""What training gives, in NumPy and float64, written from the papers and the docstrings."""

import numpy as np


def gradients_of(parameters, x, y, sample_weight=None, l2=0.0):
    """The gradients of the mean squared error of dense layers with tanh in between.

    `parameters` are kernel and bias of each layer in turn; `l2` is the penalty on kernels.
    """
    weight = np.ones(len(x)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    kernels, biases = parameters[::2], parameters[1::2]
    hidden = [np.asarray(x, np.float64)]
    for index, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        outputs = hidden[-1] @ kernel + bias
        hidden.append(np.tanh(outputs) if index < len(kernels) - 1 else outputs)
    upstream = 2 * (hidden[-1] - y) * weight[:, np.newaxis] / np.size(y)
    gradients = []
    for index in reversed(range(len(kernels))):
        if index < len(kernels) - 1:
            upstream = upstream * (1 - hidden[index + 1] ** 2)
        gradients[:0] = [
            hidden[index].T @ upstream + 2 * l2 * kernels[index],
            upstream.sum(axis=0),
        ]
        upstream = upstream @ kernels[index].T
    return gradients


def plain_step(parameters, rate, **batch):
    gradients = gradients_of(parameters, **batch)
    return [p - rate * g for p, g in zip(parameters, gradients, strict=True)]


def sharpness_aware_step(parameters, rate, rho, adaptive, **batch):
    """A step of SAM (Foret et al.), or of ASAM (Kwon et al.) by T_w = |w|."""
    first = gradients_of(parameters, **batch)
    size = [np.abs(p) if adaptive else np.ones_like(p) for p in parameters]
    norm = np.sqrt(sum(np.sum((t * g) ** 2) for t, g in zip(size, first, strict=True)))
    moved = [p + rho * t**2 * g / norm for p, t, g in zip(parameters, size, first, strict=True)]
    second = gradients_of(moved, **batch)
    return [p - rate * g for p, g in zip(parameters, second, strict=True)]


def in_batches(step, parameters, x, y, batch_size, epochs=1, sample_weight=None, **arguments):
    """The parameters after steps on batches in order."""
    parameters = [np.asarray(p, np.float64) for p in parameters]
    for start in list(range(0, len(x), batch_size)) * epochs:
        part = slice(start, start + batch_size)
        weight = None if sample_weight is None else sample_weight[part]
        parameters = step(parameters, x=x[part], y=y[part], sample_weight=weight, **arguments)
    return parameters
