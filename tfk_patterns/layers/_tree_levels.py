"""Child-sum Tree-LSTM of a whole batch level by level, with a gradient of its own."""

from typing import NamedTuple

import tensorflow as tf

from tfk_patterns.layers._forest import Forest
from tfk_patterns.layers._once_differentiable import once_differentiable

_ONCE = (
    "The gradient of a `TreeLSTM` cannot be differentiated again: take gradients of gradients in "
    "eager mode, of a layer made with `dynamic=True`."
)


class Levels(NamedTuple):
    """A forest whose rows are sorted: inner nodes from the deepest up, leaves, single nodes.

    So the inner children of a level are the level before it, and all leaves can go first.

    Attributes:
        forest: The forest in that order.
        bounds: Twice 0, then where each level of inner nodes ends, int32 `(2 + levels,)`; a
            forest of leaves has one level, which is empty.
        leaves: Where the leaves end that have a parent.
    """

    forest: Forest
    bounds: tf.Tensor
    leaves: tf.Tensor


def by_level(forest: Forest) -> Levels:
    """The forest sorted by level."""
    index, parent, depth = forest
    children = tf.math.unsorted_segment_sum(tf.ones_like(parent), parent, tf.size(parent))
    is_inner = children > 0
    count = 1 + tf.reduce_max(tf.concat([[0], tf.where(is_inner, depth, 0)], axis=0))
    level = tf.where(is_inner, count - 1 - depth, tf.where(parent < 0, count + 1, count))
    order = tf.argsort(level, stable=True)
    rank = tf.concat([tf.math.invert_permutation(order), [-1]], axis=0)  # the last for no parent
    parent = tf.gather(parent, order)
    parent = tf.gather(rank, tf.where(parent < 0, tf.size(parent), parent))
    bounds = tf.searchsorted(tf.gather(level, order), tf.range(-2, count + 1), side="right")
    ordered = Forest(tf.gather(index, order), parent, tf.gather(depth, order))
    return Levels(ordered, bounds[:-1], bounds[-1])


@tf.autograph.experimental.do_not_convert
def run_levels(x, levels: Levels, kernel, recurrent_kernel, bias) -> tf.Tensor:
    """The hidden state of each row of the sorted forest, `(rows, units)`.

    Args:
        x: Features of the rows, `(rows, features)`.
        levels: The forest.
        kernel: `(features, 4 * units)`, the gates in the order input, output, update, forget.
        recurrent_kernel: `(units, 4 * units)`.
        bias: `(4 * units,)`.
    """

    @tf.custom_gradient
    def run(*sources):
        x, *weights = sources
        h, gradient = _run(x, levels, *weights)
        return h, once_differentiable(gradient, sources, _ONCE)

    return run(x, kernel, recurrent_kernel, bias)


def _run(x, levels, kernel, recurrent_kernel, bias):
    """The states, and the function of their gradients."""
    (_, parent, _), bounds, last_leaf = levels
    units = bias.shape[0] // 4
    gates, forget = slice(3 * units), slice(3 * units, None)
    to_gates, to_forget = recurrent_kernel[:, gates], recurrent_kernel[:, forget]
    count, inner = tf.size(bounds) - 2, bounds[-1]
    x_inner = x[:inner]
    z = tf.nn.bias_add(x @ kernel[:, gates], bias[gates])
    z_forget = tf.nn.bias_add(x_inner @ kernel[:, forget], bias[forget])
    # Leaves first, all of them: nothing of theirs waits for another node.
    h_leaf, c_leaf, cell_leaf = _state(z[inner:])
    above_leaf = parent[inner:last_leaf]
    h_child, c_child = h_leaf[: last_leaf - inner], c_leaf[: last_leaf - inner]
    h_sum, c_sum, f_leaf = _sums(h_child, c_child, z_forget, to_forget, above_leaf)

    def up(k, h, c, saved):
        below, start, end = tf.unstack(bounds[k : k + 3], 3)
        above = parent[below:start] - start
        h_more, c_more, f = _sums(h, c, z_forget[start:end], to_forget, above)
        h_level = h_sum[start:end] + h_more
        h, c, cell = _state(z[start:end] + h_level @ to_gates, c_sum[start:end] + c_more)
        return k + 1, h, c, _written(saved, k, (f, h, c, h_level, *cell))

    none = tf.zeros([0 * count, units], x.dtype)
    saved = _arrays(8 * [units], count, x.dtype)
    *_, saved = tf.while_loop(
        lambda k, *_: k < count, up, (0, none, none, saved), parallel_iterations=1
    )
    h_inner = saved[1].concat()
    graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
    packed = graph and [array.concat() for array in saved]

    def gradient(d_h):
        d_h_inner, d_h_leaf = d_h[:inner], d_h[inner:]
        lists = saved
        if graph and tf.compat.v1.get_default_graph() is not graph:
            # That of a SavedModel, perhaps, which can take tensors from here, but no lists.
            lists = _unpacked(packed, bounds)

        def down(k, d_h, d_c, found):
            below, start, end = tf.unstack(bounds[k : k + 3], 3)
            above = parent[below:start] - start
            f, _, _, _, *cell = (array.read(k) for array in lists)
            c = lists[2].read(tf.maximum(k - 1, 0))[: start - below]
            d_z, d_c = _state_gradient(d_h + d_h_inner[start:end], d_c, cell)
            d_sum = tf.matmul(d_z, to_gates, transpose_b=True)
            d_h, d_c_child, d_f, d_forget = _sums_gradient(d_sum, d_c, c, f, to_forget, above)
            return k - 1, d_h, d_c_child, _written(found, k, (d_z, d_sum, d_c, d_f, d_forget))

        none = tf.zeros([inner - bounds[-2], units], x.dtype)
        found = _arrays([3 * units] + 4 * [units], count, x.dtype)
        *_, found = tf.while_loop(
            lambda k, *_: k >= 0, down, (count - 1, none, none, found), parallel_iterations=1
        )
        d_z, d_sum, d_c, d_f, d_forget = (array.concat() for array in found)
        d_h_child, d_c_child, d_f_leaf, d_more = _sums_gradient(
            d_sum, d_c, c_child, f_leaf, to_forget, above_leaf
        )
        d_forget += d_more
        singles = [[0, tf.shape(x)[0] - last_leaf], [0, 0]]
        d_h_leaf += tf.pad(d_h_child, singles)
        d_z_leaf, _ = _state_gradient(d_h_leaf, tf.pad(d_c_child, singles), cell_leaf)
        d_z = tf.concat([d_z, d_z_leaf], axis=0)
        d_kernel = [_transposed_product(x, d_z), _transposed_product(x_inner, d_forget)]
        d_recurrent = [
            _transposed_product(lists[3].concat(), d_z[:inner]),
            _transposed_product(h_inner[: bounds[-2]], d_f)
            + _transposed_product(h_child, d_f_leaf),
        ]
        ones = tf.ones([tf.shape(x)[0], 1], x.dtype)  # a product is faster than a sum over rows
        d_bias = [_transposed_product(d_z, ones), _transposed_product(d_forget, ones[:inner])]
        d_x = tf.matmul(d_z, kernel[:, gates], transpose_b=True)
        d_x_forget = tf.matmul(d_forget, kernel[:, forget], transpose_b=True)
        d_x = tf.concat([d_x[:inner] + d_x_forget, d_x[inner:]], axis=0)
        return d_x, tf.concat(d_kernel, 1), tf.concat(d_recurrent, 1), tf.concat(d_bias, 0)[:, 0]

    return tf.concat([h_inner, h_leaf], axis=0), gradient


def _arrays(widths, size, dtype):
    """One array for each width, to hold as many levels of any number of rows."""
    options = {"infer_shape": False, "clear_after_read": False}
    return tuple(
        tf.TensorArray(dtype, size, element_shape=[None, width], **options) for width in widths
    )


def _written(arrays, k, values):
    return tuple(array.write(k, value) for array, value in zip(arrays, values, strict=True))


def _unpacked(packed, bounds):
    """The arrays again: forget gates, which are those of a level's children, and seven others."""
    sizes = bounds[1:] - bounds[:-1]
    widths = [values.shape[1] for values in packed]
    arrays = _arrays(widths, tf.size(sizes) - 1, packed[0].dtype)
    lengths = [sizes[:-1], *[sizes[1:]] * (len(packed) - 1)]
    return [array.split(*one) for array, *one in zip(arrays, packed, lengths, strict=True)]


def _transposed_product(a, b):
    return tf.matmul(a, b, transpose_a=True)


def _state(z, c_sum=None):
    """State of nodes from their gates before activation and what the children's cells give."""
    i, o, u = tf.split(z, 3, axis=1)
    i, o, u = tf.sigmoid(i), tf.sigmoid(o), tf.tanh(u)
    c = i * u if c_sum is None else i * u + c_sum
    t = tf.tanh(c)
    return o * t, c, (i, o, u, t)


def _state_gradient(d_h, d_c, cell):
    i, o, u, t = cell
    d_c += _through_tanh(t, d_h * o)
    d_z = [_through_sigmoid(i, d_c * u), _through_sigmoid(o, d_h * t), _through_tanh(u, d_c * i)]
    return tf.concat(d_z, axis=1), d_c


def _sums(h, c, z_forget, to_forget, above):
    """What nodes get of their children: sums of hidden states and of cells past forget gates."""
    f = tf.sigmoid(tf.gather(z_forget, above) + h @ to_forget)
    count = tf.shape(z_forget)[0]
    add = tf.math.unsorted_segment_sum
    return add(h, above, count), add(f * c, above, count), f


def _sums_gradient(d_h_sum, d_c_sum, c, f, to_forget, above):
    d_fc = tf.gather(d_c_sum, above)
    d_f = _through_sigmoid(f, d_fc * c)
    d_h = tf.gather(d_h_sum, above) + tf.matmul(d_f, to_forget, transpose_b=True)
    return d_h, d_fc * f, d_f, tf.math.unsorted_segment_sum(d_f, above, tf.shape(d_c_sum)[0])


def _through_sigmoid(outputs, gradient):
    return tf.raw_ops.SigmoidGrad(y=outputs, dy=gradient)


def _through_tanh(outputs, gradient):
    return tf.raw_ops.TanhGrad(y=outputs, dy=gradient)
