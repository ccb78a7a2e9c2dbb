"""Whether a dataset gives the same batches again after a restart."""

import hashlib
from collections.abc import Callable, Iterator

import tensorflow as tf

from tfk_patterns.training._batches import made

# Datasets that draw, and which of their inputs are the two seeds.
_SEEDS = {
    "ShuffleDatasetV3": (2, 3),
    "RandomDataset": (0, 1),
    "RandomDatasetV2": (0, 1),
    "SamplingDataset": (2, 3),
}
_HANDLES = (tf.resource.as_datatype_enum, tf.variant.as_datatype_enum)
_PYTHON = ("PyFunc", "PyFuncStateless", "EagerPyFunc")
STATEFUL_RANDOM = frozenset(
    (
        "Multinomial",
        "ParameterizedTruncatedNormal",
        "RandomGamma",
        "RandomPoissonV2",
        "RandomShuffle",
        "RandomStandardNormal",
        "RandomUniform",
        "RandomUniformInt",
        "TruncatedNormal",
    )
)
# What reads or changes a state outside of the dataset, by the beginnings of its names.
_CHANGING = (
    "Assign",
    "Rng",
    "StatefulRandomBinomial",
    "StatefulStandardNormal",
    "StatefulTruncatedNormal",
    "StatefulUniform",
    "Timestamp",
)
_AGAIN = ("shuffle", "randomize")
_INSTEAD = "give a function of the epoch that makes the dataset, `lambda epoch: ...`"


def check_reproducible(name: str, dataset, *, iterated_once: bool, epoch: int = 0) -> None:
    """Raises where a dataset, or a function of the epoch, does not give the same batches again.

    Args:
        name: Of the argument.
        dataset: The dataset, or the function.
        iterated_once: Whether all epochs are one iteration over the dataset.
        epoch: An epoch that the function can be asked for.

    Raises:
        ValueError: It does not, with the reason and what to do instead.
    """
    if isinstance(dataset, tf.data.Dataset):
        _check(name, dataset, _graph(dataset, name), again=not iterated_once, python=False)
    elif isinstance(dataset, Callable):
        first, second = (made(name, dataset, epoch) for _ in range(2))
        graphs = [_graph(one, name) for one in (first, second)]
        shared = bool(_handles(graphs[0]) & _handles(graphs[1]))  # made outside of the function
        _check(name, first, graphs[0], again=shared, python=True)
        if _digest(graphs[0]) != _digest(graphs[1]):
            raise _refused(
                name,
                f"asked twice for epoch {epoch}, the function gives two different datasets",
                "let all in it depend on the epoch alone, as `shuffle(n, seed=epoch)` does",
            )
    else:
        raise _refused(name, "its place cannot be found again after a restart", _INSTEAD)


def _check(name: str, dataset: tf.data.Dataset, graph, *, again: bool, python: bool) -> None:
    if dataset.options().deterministic is False:
        raise _refused(name, "its options say `deterministic = False`", "set it to True")
    for node, constants in _nodes(graph):
        op = node.op
        if op == "GeneratorDataset" and not python:
            raise _refused(name, "it comes from a Python generator", _INSTEAD)
        if op in _PYTHON and not python:
            raise _refused(name, "it runs Python code, which may have a state", _INSTEAD)
        if op in STATEFUL_RANDOM:
            raise _refused(
                name,
                f"it draws random numbers ({op}) that start anew after a restart",
                "draw by `tf.random.stateless_uniform` and the like, from seeds in the data",
            )
        if _attribute(node, "deterministic").s == b"false":
            raise _refused(
                name, f"its order is left to chance ({op}, deterministic=False)", "leave that out"
            )
        if op in _SEEDS:
            seeds = [constants.get(node.input[index]) for index in _SEEDS[op]]
            if seeds == [0, 0]:
                raise _refused(name, f"it draws without a seed ({op})", "give `seed=`")
        if op.startswith(_CHANGING):
            raise _refused(
                name, f"it reads or changes a state outside of it ({op})", "leave that out"
            )
        if again and any(_attribute(node, f"re{what}_each_iteration").b for what in _AGAIN):
            raise _refused(
                name,
                "it is shuffled in another way in each epoch, from a state that no checkpoint "
                "holds",
                "`shuffle(n, seed=..., reshuffle_each_iteration=False)`, or, for another order in "
                "each epoch, `lambda epoch: dataset.shuffle(n, seed=epoch)`",
            )


def _refused(name: str, reason: str, instead: str) -> ValueError:
    return ValueError(
        f"`{name}` must give the same batches again after a restart, with `checkpoint_dir`: "
        f"{instead}. Received: data refused since {reason}"
    )


def _graph(dataset: tf.data.Dataset, name: str) -> tf.compat.v1.GraphDef:
    variant = tf.data.experimental.to_variant(dataset)
    try:
        # 1: a state outside of the dataset, such as that of a lookup table, is passed over.
        serialized = tf.raw_ops.DatasetToGraphV2(input_dataset=variant, external_state_policy=1)
        return tf.compat.v1.GraphDef.FromString(serialized.numpy())
    except tf.errors.OpError as error:
        raise _refused(
            name, f"TensorFlow cannot show what is in it ({error.message})", _INSTEAD
        ) from error


def _functions(graph) -> list:
    """The operations of a dataset, and those of each function in it."""
    return [graph.node, *(function.node_def for function in graph.library.function)]


def _nodes(graph) -> Iterator:
    """Each operation of a dataset, with the integers that its inputs may be."""
    for nodes in _functions(graph):
        constants = {}
        for node in nodes:
            tensor = _attribute(node, "value").tensor
            if tensor.dtype == tf.int64.as_datatype_enum and not tensor.tensor_shape.dim:
                value = tf.make_ndarray(tensor).item()
                constants[node.name] = constants[f"{node.name}:output:0"] = value
        for node in nodes:
            yield node, constants


def _handles(graph) -> set[bytes]:
    """The resources that a dataset holds."""
    return {
        node.attr["value"].tensor.SerializeToString()
        for node, _ in _nodes(graph)
        if node.op == "Const" and _attribute(node, "dtype").type in _HANDLES
    }


def _digest(graph) -> list[bytes]:
    """What a dataset consists of, without the names that differ each time one is made."""
    return sorted(
        hashlib.sha256(b"".join(map(_described, nodes))).digest() for nodes in _functions(graph)
    )


def _described(node) -> bytes:
    if _attribute(node, "dtype").type in _HANDLES:  # of what is made anew each time
        return b""
    attributes = [
        key.encode() + node.attr[key].SerializeToString()
        for key in sorted(node.attr)
        if key not in ("metadata", "token")
        and node.attr[key].WhichOneof("value") not in ("func", "placeholder")
    ]
    return b"".join([node.op.encode(), *attributes])


def _attribute(node, name: str):
    """An attribute, or an empty one; to ask the node for it would give it one."""
    return node.attr[name] if name in node.attr else tf.compat.v1.AttrValue()
