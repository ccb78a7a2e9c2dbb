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


def standardizer_statistics(inputs, mask, axis):
    """Count, mean and variance over all axes but those of `axis`, masked positions left out."""
    inputs = np.asarray(inputs, np.float64)
    keep = np.ones(inputs.shape, bool)
    if mask is not None:
        keep &= np.reshape(mask, mask.shape + (1,) * (keep.ndim - mask.ndim))
    kept = () if axis is None else tuple(np.atleast_1d(axis) % inputs.ndim)
    others = tuple(set(range(inputs.ndim)) - set(kept))
    values = np.ma.array(inputs, mask=~keep)
    mean, variance = values.mean(axis=others), values.var(axis=others)
    return keep.sum(axis=others).max(), np.asarray(mean), np.asarray(variance)


def running_update(state, batch, momentum):
    """Count, mean and variance after a batch of such, by the formula of the docstring."""
    (before, mean, variance), (count, batch_mean, batch_variance) = state, batch
    weight = max(count / (before + count), 1 - momentum)
    away = batch_mean - mean
    return (
        before + count,
        mean + weight * away,
        (1 - weight) * variance + weight * batch_variance + weight * (1 - weight) * away**2,
    )


def layer_norm(inputs, gamma, beta, epsilon):
    mean, variance = inputs.mean(axis=-1, keepdims=True), inputs.var(axis=-1, keepdims=True)
    return gamma * (inputs - mean) / np.sqrt(variance + epsilon) + beta


def mlp(inputs, kernels, biases, activation, final_activation, normalize=None, residual=False):
    """`normalize(block, features)` stands between a hidden layer's product and its activation."""
    x = np.asarray(inputs, np.float64)
    for block, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        features = x @ kernel + bias
        if block == len(kernels) - 1:
            features = final_activation(features)
        else:
            features = activation(normalize(block, features) if normalize else features)
        x = x + features if residual and features.shape == x.shape else features
    return x


def attention_pooled(inputs, mask, kernel, bias, query):
    """The pooled features and the softmax weights of the steps, sample by sample."""
    inputs = np.asarray(inputs, np.float64)
    batch, steps, features = inputs.shape
    outputs, weights = np.zeros((batch, features)), np.zeros((batch, steps))
    for sample in range(batch):
        keep = np.ones(steps, bool) if mask is None else np.asarray(mask)[sample]
        if keep.any():
            kept = inputs[sample][keep]
            scores = np.tanh(kept @ kernel + bias) @ query
            exponentials = np.exp(scores - scores.max())
            weights[sample, keep] = exponentials / exponentials.sum()
            outputs[sample] = weights[sample, keep] @ kept
    return outputs, weights


def convolved(inputs, mask, kernel, bias, strides=1, padding="same", dilation=1, renormalize=False):
    """The convolution before the activation, and the mask of the output steps, step by step."""
    inputs = np.asarray(inputs, np.float64)
    batch, steps, _ = inputs.shape
    size, _, filters = kernel.shape
    span = (size - 1) * dilation
    left = {"same": span // 2, "causal": span, "valid": 0}[padding]
    out_steps = -(-max(steps - span if padding == "valid" else steps, 0) // strides)
    outputs = np.zeros((batch, out_steps, filters))
    valid = np.zeros((batch, out_steps), int)
    for sample, step, tap in itertools.product(range(batch), range(out_steps), range(size)):
        position = step * strides - left + tap * dilation
        if 0 <= position < steps and (mask is None or mask[sample, position]):
            outputs[sample, step] += inputs[sample, position] @ kernel[tap]
            valid[sample, step] += 1
    if renormalize:
        outputs *= size / np.maximum(valid, 1)[..., np.newaxis]
    return outputs + bias, valid > 0


def sequence_normalized(inputs, mask, epsilon):
    outputs = np.zeros(np.shape(inputs))
    for sample, steps in enumerate(np.asarray(inputs, np.float64)):
        keep = np.ones(len(steps), bool) if mask is None else np.asarray(mask)[sample]
        if keep.any():
            kept = steps[keep]
            outputs[sample, keep] = (kept - kept.mean(0)) / np.sqrt(kept.var(0) + epsilon)
    return outputs


def kl_of_samples(mean, log_variance, mask):
    """KL from the standard normal, `(batch, features)`: summed over the valid inner positions."""
    mean, log_variance = (np.asarray(x, np.float64) for x in (mean, log_variance))
    divergence = (np.exp(log_variance) + mean**2 - 1 - log_variance) / 2
    if mask is not None:
        divergence *= np.reshape(mask, mask.shape + (1,) * (divergence.ndim - mask.ndim))
    return divergence.reshape(len(mean), -1, mean.shape[-1]).sum(axis=1)


def kl_loss(mean, log_variance, mask, free_bits=0.0):
    if not len(mean):
        return 0.0
    return np.maximum(free_bits, kl_of_samples(mean, log_variance, mask).mean(axis=0)).sum()


def tree_lstm(features, parents, mask, kernel, recurrent_kernel, bias):
    """States of all nodes, `(batch, nodes, units)`: the paper's equations 2 to 8, by recursion."""
    kernels, recurrent_kernels, biases = (
        np.split(np.asarray(weight, np.float64), 4, axis=-1)
        for weight in (kernel, recurrent_kernel, bias)
    )
    gates = {
        name: (lambda x, h, w=w, u=u, b=b: x @ w + h @ u + b)
        for name, w, u, b in zip("iouf", kernels, recurrent_kernels, biases, strict=True)
    }
    states = np.zeros((*np.shape(parents), len(biases[0])))
    for sample, its_parents in enumerate(np.asarray(parents)):
        valid = range(len(its_parents)) if mask is None else np.flatnonzero(mask[sample])

        def state(node, sample=sample, its_parents=its_parents, valid=valid):
            x = np.asarray(features[sample][node], np.float64)
            children = [state(child) for child in valid if its_parents[child] == node]
            h_sum = sum((h for h, _ in children), np.zeros(states.shape[-1]))
            i, o = (_sigmoid(gates[name](x, h_sum)) for name in "io")
            c = i * np.tanh(gates["u"](x, h_sum))
            c = c + sum(_sigmoid(gates["f"](x, h)) * c_child for h, c_child in children)
            states[sample, node] = o * np.tanh(c)
            return states[sample, node], c

        for root in valid:
            if its_parents[root] == -1:
                state(root)
    return states


def tree_lstm_of_roots(parents, mask, states):
    """The sums of the roots' states, `(batch, units)`."""
    is_root = (np.asarray(parents) == -1) & (True if mask is None else np.asarray(mask))
    return np.einsum("bn,bnu->bu", is_root.astype(float), states)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))
