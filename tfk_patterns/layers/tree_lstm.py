"""The child-sum Tree-LSTM: as readable Python, and in a graph over all trees of a batch at once."""

from typing import Any, Literal

import tensorflow as tf

from tfk_patterns import _keras, _validate
from tfk_patterns.layers._forest import forest_of
from tfk_patterns.layers._masking import as_checked_mask, check_mask, joint_mask, passed_on
from tfk_patterns.layers._pairs import as_pair, pair_of_shapes
from tfk_patterns.layers._statistics import at_least_float32
from tfk_patterns.layers._tree_levels import by_level, run_levels
from tfk_patterns.layers._tree_recursion import run_recursion
from tfk_patterns.layers.dynamic_layer import DynamicLayer

_EXPECTED = (
    "a list of two tensors, features (batch, nodes, features) and integer parents (batch, nodes)"
)


@_keras.register
class TreeLSTM(DynamicLayer):
    """Child-sum Tree-LSTM over trees of any shape, each node after its children.

    Takes `[features, parents]`: for each node its features, and the position of its parent in its
    sample, -1 at a root. Nodes may be in any order. It returns the hidden state of the root, or
    of all nodes. Where a sample has several roots it returns the sum of their states, as a node
    above them would get it, and zeros where it has no node.

    With `dynamic=True` it runs node by node, as the paper has it, in Python (see `DynamicLayer`):
    to read, and to check against. With `dynamic=False` it computes the same from the same weights
    in the graph, hundreds of times faster: level by level over all trees at once, in time that
    grows with the number of nodes, whatever the depth of the trees. Neither has a limit of depth.

    It computes in float32 at least. Masked nodes count for nothing, whatever features and parents
    stand there; with `return_nodes` they get zeros and the mask is passed on. Neither way runs in
    XLA, which needs to know how many nodes and levels there are (`supports_jit` is False, so that
    Keras does not try).

    Args:
        units: Size of the states.
        return_nodes: Whether to return the states of all nodes.
        dynamic: `True` or `"island"` for Python, `False` for the graph.
        **kwargs: Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: List of features `(batch, nodes, features)` and parents `(batch, nodes)` of any
            signed integer dtype.
        mask: Boolean tensor `(batch, nodes)`, `True` where there is a node, or a list of two such
            or `None`, which are joined by `and`.

    Input shape:
        `(batch, nodes, features)`, `features` known, and `(batch, nodes)`.

    Output shape:
        `(batch, units)`; with `return_nodes`, `(batch, nodes, units)`.

    Raises:
        TypeError: An argument has the wrong type, the parents are no integers, or a mask is not
            boolean.
        ValueError: An argument has a value that cannot be, the shapes do not fit, or a parent is
            out of range, masked, the node itself, or on a cycle; the text names sample and node.
            In a graph, the step raises `tf.errors.InvalidArgumentError` with the same words.
        NotImplementedError: The graph is compiled by XLA; or, with `dynamic=False`, a gradient is
            differentiated again (in a graph, the step raises `tf.errors.InvalidArgumentError`).
            In eager mode, `dynamic=True` has gradients of gradients.

    Example:

    >>> import tensorflow as tf
    >>> import tfk_patterns
    >>> layer = tfk_patterns.layers.TreeLSTM(8, dynamic=False)
    >>> features = tf.random.normal((2, 4, 3))
    >>> parents = tf.constant([[-1, 0, 0, 1], [3, 3, 3, -1]])  # two levels below the root, and one
    >>> layer([features, parents]).shape
    TensorShape([2, 8])

    Reference:
        Tai, Socher and Manning, "Improved Semantic Representations From Tree-Structured Long
        Short-Term Memory Networks", 2015, https://arxiv.org/abs/1503.00075
    """

    def __init__(
        self,
        units: int,
        return_nodes: bool = False,
        dynamic: bool | Literal["island"] = True,
        **kwargs: Any,
    ):
        super().__init__(dynamic=dynamic, **kwargs)
        self.units = _validate.positive_integer("units", units)
        self.return_nodes = _validate.boolean("return_nodes", return_nodes)
        self.supports_masking = True
        self.supports_jit = False  # XLA needs to know how many rows and levels there are

    def build(self, input_shape) -> None:
        _check_shapes(input_shape)
        features = _validate.known_axis("inputs", input_shape[0], -1, "the features")
        self.kernel = self.add_weight(
            name="kernel", shape=(features, 4 * self.units), initializer="glorot_uniform"
        )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel", shape=(self.units, 4 * self.units), initializer="orthogonal"
        )
        self.bias = self.add_weight(
            name="bias", shape=(4 * self.units,), initializer=_zeros_and_ones_to_forget
        )
        self.built = True

    def call(self, inputs, mask=None) -> tf.Tensor:
        self._refuse_xla()
        _check_shapes([one.shape for one in as_pair(inputs, _EXPECTED)])
        features, parents = inputs
        _check_dtype(parents)
        parents = _of_equal_sizes(parents, features)
        mask = as_checked_mask(joint_mask(mask), features, rank=2)
        with _keras.without_autocast():
            weights = [
                at_least_float32(tf.convert_to_tensor(weight))
                for weight in (self.kernel, self.recurrent_kernel, self.bias)
            ]
        forest = forest_of(parents, mask)
        levels = None
        if self.dynamic is False:
            levels = by_level(forest)
            forest = levels.forest
        x = tf.cast(tf.gather_nd(features, forest.index), weights[0].dtype)
        if levels is None:
            h = run_recursion(x, forest, *weights)
        else:
            h = run_levels(x, levels, *weights)
        return tf.cast(self._outputs(h, forest, tf.shape(parents)), self.compute_dtype)

    def _outputs(self, h, forest, shape):
        if self.return_nodes:
            shape = tf.stack([shape[0], shape[1], self.units])
            return tf.scatter_nd(forest.index, h, tf.cast(shape, tf.int64))
        root = tf.where(forest.parent < 0)[:, 0]
        sample = tf.gather(forest.index[:, 0], root)
        return tf.math.unsorted_segment_sum(tf.gather(h, root), sample, shape[0])

    def _refuse_xla(self):
        if not tf.executing_eagerly() and _keras.compiles_with_xla():
            raise NotImplementedError(
                f"XLA cannot compile the layer {self.name!r}, since it needs to know how many "
                "nodes and levels the trees have: leave `jit_compile=True` out."
            )

    def compute_mask(self, inputs, mask=None):
        _check_dtype(as_pair(inputs, _EXPECTED)[1])
        mask = joint_mask(mask)
        if self.return_nodes:
            return passed_on(mask, inputs[0], rank=2)
        check_mask(mask, inputs[0].shape, rank=2)
        return None

    def compute_output_shape(self, input_shape) -> tuple[int | None, ...]:
        _check_shapes(input_shape)
        batch, nodes, _ = tuple(input_shape[0])
        return (batch, nodes, self.units) if self.return_nodes else (batch, self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "return_nodes": self.return_nodes}


def _zeros_and_ones_to_forget(shape, dtype=None, **kwargs):
    """As `keras.layers.LSTM` starts, with forget gates half open and more."""
    units = shape[0] // 4
    return tf.concat([tf.zeros([3 * units], dtype), tf.ones([units], dtype)], axis=0)


def _check_shapes(shapes):
    features, parents = pair_of_shapes(shapes, _EXPECTED)
    if features.rank != 3 or parents.rank != 2 or not parents.is_compatible_with(features[:2]):
        raise ValueError(
            f"`inputs` must be {_EXPECTED}. Received: tensors of shapes {tuple(features)} and "
            f"{tuple(parents)}"
        )


def _check_dtype(parents):
    dtype = tf.as_dtype(parents.dtype)
    if not dtype.is_integer or dtype.is_unsigned:
        raise TypeError(
            "`inputs` must hold integer parents, -1 at a root, as `keras.Input((None,), "
            f"dtype='int32')` gives them. Received: parents of dtype {dtype.name}"
        )


def _of_equal_sizes(parents, features):
    """The parents; the step of a graph that did not know the sizes raises where they differ."""
    sizes = tf.shape(features)[:2], tf.shape(parents)
    message = f"`inputs` must be {_EXPECTED}"
    with tf.control_dependencies([tf.debugging.assert_equal(*sizes, message=message)]):
        return tf.identity(parents)
