"""The trees of a batch as rows of valid nodes; the error for what is no tree names the node."""

from typing import NamedTuple

import tensorflow as tf

_ERROR = (
    "`parents` must hold, for each valid node, another valid node of its sample, or -1 at a root, "
    "and lead to a root. Received: parent {} at sample {}, node {}, "
)


class Forest(NamedTuple):
    """The valid nodes of a batch, sample after sample.

    Attributes:
        index: Sample and node of each row, int64 `(rows, 2)`.
        parent: The row of each row's parent, -1 at a root, int32 `(rows,)`.
        depth: Steps from each row to its root, int32 `(rows,)`.
    """

    index: tf.Tensor
    parent: tf.Tensor
    depth: tf.Tensor


@tf.autograph.experimental.do_not_convert
def forest_of(parents, mask) -> Forest:
    """The forest of `(batch, nodes)` parents of any signed integer dtype.

    Args:
        parents: The position of each node's parent in its sample, -1 at a root.
        mask: Boolean `(batch, nodes)`, `True` where there is a node, or `None`.

    Raises:
        ValueError: A parent is out of range, masked, the node itself, or on a cycle. In a graph,
            the step raises `tf.errors.InvalidArgumentError` with the same words.
    """
    parents = tf.cast(parents, tf.int64)
    if mask is None:
        mask = tf.fill(tf.shape(parents), True)
    index = tf.where(mask)
    sample, node = tf.unstack(index, axis=1)
    parent = tf.gather_nd(parents, index)
    inside = (parent >= -1) & (parent < tf.shape(parents, tf.int64)[1])
    above = tf.stack([sample, tf.where(inside & (parent >= 0), parent, node)], axis=1)
    is_fine = {
        "which is out of range": inside,
        "which is the node itself": parent != node,
        "which is masked": tf.gather_nd(mask, above),
    }
    for reason, fine in is_fine.items():
        rows = tf.range(tf.size(parent))
        first = tf.reduce_min(tf.where(fine, tf.size(parent), rows))
        parent = _without_faults(parent, index, first, reason)
    is_root = parent < 0
    row_of = tf.reshape(tf.cumsum(tf.cast(tf.reshape(mask, [-1]), tf.int32)) - 1, tf.shape(mask))
    rows = tf.where(is_root, -1, tf.gather_nd(row_of, above))
    depth, first = _depths(rows)
    depth = _without_faults(depth, index, first, "which is on a cycle", parent)
    return Forest(index, rows, depth)


def _depths(parent) -> tuple[tf.Tensor, tf.Tensor]:
    """Steps to the root, and the first row that lies on a cycle; the number of rows for none.

    Each round doubles how far a row sees. One that sees no root over as many steps as there are
    rows sees a cycle, and all such together see all of it.
    """
    count = tf.size(parent)
    is_root = parent < 0

    def unfinished(reach, depth, seen):
        return (reach < count) & tf.reduce_any(tf.gather(depth, seen) > 0)

    def double(reach, depth, seen):
        return 2 * reach, depth + tf.gather(depth, seen), tf.gather(seen, seen)

    start = (1, tf.cast(~is_root, tf.int32), tf.where(is_root, tf.range(count), parent))
    _, depth, seen = tf.while_loop(unfinished, double, start)
    return depth, tf.reduce_min(tf.where(tf.gather(is_root, seen), count, seen))


def _without_faults(values, index, first, reason, parent=None):
    """The values; an error where `first`, the first row with a fault, is one of the rows."""
    parent = values if parent is None else parent
    text = _ERROR + reason
    if tf.executing_eagerly():
        if first < len(parent):
            raise ValueError(text.format(int(parent[first]), *index[first].numpy()))
        return values

    def fail():
        sample, node = tf.unstack(index[first])
        message = tf.strings.format(text, [parent[first], sample, node])
        with tf.control_dependencies([tf.raw_ops.Assert(condition=False, data=[message])]):
            return tf.constant(False)

    # What comes after waits: it may not make another error of the same fault.
    is_fine = tf.cond(first < tf.size(parent), fail, lambda: tf.constant(True))
    with tf.control_dependencies([is_fine]):
        return tf.identity(values)
