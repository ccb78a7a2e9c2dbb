"""What the layers should give, in NumPy and float64, written from the papers and the docstrings."""

import itertools

import numpy as np


def valid_rows(inputs, mask):
    """The valid positions as the rows of a matrix of features."""
    inputs = np.asarray(inputs, np.float64)
    keep = np.ones(inputs.shape[:-1], bool)
    if mask is not None:
        keep &= np.reshape(mask, mask.shape + (1,) * (keep.ndim - mask.ndim))
    return inputs[keep]


def l1l2(inputs, mask, l1, l2):
    samples = len(inputs)
    rows = valid_rows(inputs, mask)
    return (l1 * np.abs(rows).sum() + l2 * (rows**2).sum()) / samples if samples else 0.0


def sparsity(inputs, mask, target):
    rows = valid_rows(inputs, mask)
    if not len(rows):
        return 0.0
    total = 0.0
    for unit in range(rows.shape[1]):
        mean = np.clip(rows[:, unit].mean(), 1e-7, 1 - 1e-7)
        total += target * np.log(target / mean)
        total += (1 - target) * np.log((1 - target) / (1 - mean))
    return total


def decorrelation(inputs, mask):
    rows = valid_rows(inputs, mask)
    if not len(rows):
        return 0.0
    total = 0.0
    for i, j in itertools.permutations(range(rows.shape[1]), 2):
        a, b = rows[:, i], rows[:, j]
        total += ((a * b).mean() - a.mean() * b.mean()) ** 2
    return total / 2


def temporal(inputs, mask):
    per_sample = []
    for sample, steps in enumerate(np.asarray(inputs, np.float64)):
        kept = steps if mask is None else steps[np.asarray(mask)[sample]]
        squares = [(after - before) ** 2 for before, after in itertools.pairwise(kept)]
        per_sample.append(np.mean(squares) if squares else 0.0)
    return float(np.mean(per_sample)) if per_sample else 0.0


def pooled(inputs, mask, pooling):
    batch, steps, features = np.shape(inputs)
    result = np.zeros((batch, features))
    choose = {
        "mean": lambda kept: kept.mean(axis=0),
        "max": lambda kept: kept.max(axis=0),
        "min": lambda kept: kept.min(axis=0),
        "sum": lambda kept: kept.sum(axis=0),
        "first": lambda kept: kept[0],
        "last": lambda kept: kept[-1],
    }[pooling]
    for sample in range(batch):
        keep = np.ones(steps, bool) if mask is None else np.asarray(mask)[sample]
        kept = np.asarray(inputs, np.float64)[sample][keep]
        if len(kept):
            result[sample] = choose(kept)
    return result


def batch_norm(inputs, mean, variance, gamma, beta, epsilon):
    inputs = np.asarray(inputs, np.float64)
    return gamma * (inputs - mean) / np.sqrt(variance + epsilon) + beta


def numeric_gradient(function, inputs, step=1e-6):
    """The gradient of a scalar function by central differences."""
    inputs = np.asarray(inputs, np.float64)
    gradient = np.zeros_like(inputs)
    for index in np.ndindex(inputs.shape):
        up, down = inputs.copy(), inputs.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (function(up) - function(down)) / (2 * step)
    return gradient
