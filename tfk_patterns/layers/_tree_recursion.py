"""Child-sum Tree-LSTM node by node, as the paper has it: what the batched one must agree with."""

import tensorflow as tf

from tfk_patterns.layers._forest import Forest


def run_recursion(x, forest: Forest, kernel, recurrent_kernel, bias) -> tf.Tensor:
    """The hidden state of each row of the forest, `(rows, units)`; eager tensors only.

    The recursion is over a stack of its own: trees may be deeper than Python's.

    Args:
        x: Features of the rows, `(rows, features)`.
        forest: The forest.
        kernel: `(features, 4 * units)`, the gates in the order input, output, update, forget.
        recurrent_kernel: `(units, 4 * units)`.
        bias: `(4 * units,)`.
    """
    units = bias.shape[0] // 4
    weights = (kernel, *tf.split(recurrent_kernel, [3 * units, units], axis=1), bias)
    parents = forest.parent.numpy().tolist()
    if not parents:
        return _node(x, [], *weights)[0]
    rows = tf.split(x, len(parents))
    children = [[] for _ in parents]
    for row, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(row)
    states = [None] * len(parents)
    stack = [row for row, parent in enumerate(parents) if parent < 0]
    while stack:
        row = stack[-1]
        waiting = [child for child in children[row] if states[child] is None]
        if waiting:
            stack.extend(waiting)
        else:
            states[row] = _node(rows[row], [states[child] for child in children[row]], *weights)
            stack.pop()
    return tf.concat([h for h, _ in states], axis=0)


def _node(x, children, kernel, to_gates, to_forget, bias):
    """Hidden state and cell of a node, from its features and those of its children."""
    i, o, u, f = tf.split(x @ kernel + bias, 4, axis=1)
    h_sum = sum((h for h, _ in children), tf.zeros_like(f))
    i_sum, o_sum, u_sum = tf.split(h_sum @ to_gates, 3, axis=1)
    i, o, u = tf.sigmoid(i + i_sum), tf.sigmoid(o + o_sum), tf.tanh(u + u_sum)
    c = i * u + sum(tf.sigmoid(f + h @ to_forget) * c for h, c in children)
    return o * tf.tanh(c), c
