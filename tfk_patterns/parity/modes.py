"""The modes, and what decides whether a layer can be compared in one."""

import dataclasses
import re
import textwrap
from collections.abc import Callable

import tensorflow as tf

from tfk_patterns import _keras

MODES = ("eager", "graph", "xla")


class CannotCompile(Exception):
    """XLA has no way to compile the function; says why in a few words."""


def run_in(mode: str, function: Callable) -> Callable:
    """The function as it runs in a mode."""
    if mode == "eager":
        return function
    return tf.function(function, autograph=_keras.AUTOGRAPH, jit_compile=mode == "xla")


@dataclasses.dataclass(frozen=True)
class RandomOps:
    """The kinds of random operations in a traced function.

    Args:
        from_state: It draws from a state of its own: the same in eager mode and the graph.
        other_in_xla: What it draws so are floats, which XLA makes otherwise, and not whole words.
        from_global: It draws from TensorFlow's global generators: not the same in any two modes.
        from_generator: It draws from a `tf.random.Generator`, whose state no layer tracks.
        constant_seeds: The seeds that are constants of the graph.
    """

    from_state: bool = False
    other_in_xla: bool = False
    from_global: bool = False
    from_generator: bool = False
    constant_seeds: frozenset[bytes] = frozenset()

    def __bool__(self) -> bool:
        return self.from_state or self.from_global

    def why_not(self, mode: str) -> str | None:
        """Why draws in `mode` cannot equal those in eager mode, or `None` where they can."""
        if self.from_global:
            return "draws from TensorFlow's global random state, which no two modes read alike"
        if self.other_in_xla and mode == "xla":
            return "XLA draws other floats"
        return None


def nodes_of(graph) -> list:
    """The nodes of a graph, those of the functions in it too."""
    graph_def = graph.as_graph_def()
    bodies = [graph_def.node, *(body.node_def for body in graph_def.library.function)]
    return [node for body in bodies for node in body]


def random_ops(function, *args) -> RandomOps:
    """Which random operations the trace of a `tf.function` for these arguments holds."""
    graph = function.get_concrete_function(*args).graph
    kinds = {node.op for node in nodes_of(graph)}
    found = {op for op in kinds if _RANDOM.search(op)}
    from_state = {op for op in found if op.startswith(("Stateless", "Stateful"))}
    from_generator = found | {op for op in kinds if "Rng" in op}
    return RandomOps(
        from_state=bool(from_state),
        other_in_xla=not all(_SAME_IN_XLA.search(op) for op in from_state),
        from_global=bool(found - from_state),
        from_generator=any(op.startswith(("Stateful", "Rng")) for op in from_generator),
        constant_seeds=_constant_seeds(graph.as_graph_def().node) if from_state else frozenset(),
    )


def _constant_seeds(nodes) -> frozenset[bytes]:
    """The seeds of stateless operations that depend on constants only."""
    by_name = {node.name: node for node in nodes}

    def constants(name: str) -> list[bytes] | None:
        """The constants that a value is made of, or `None` where it is made of anything else."""
        node = by_name.get(name.split(":")[0].lstrip("^"))
        if node is None or node.op in _FROM_OUTSIDE:
            return None
        if _RANDOM.search(node.op) and not node.op.startswith("Stateless"):
            return None
        if node.op == "Const":
            return [node.attr["value"].tensor.SerializeToString()]
        parts = [constants(part) for part in node.input]
        return None if None in parts else [text for part in parts for text in part]

    seeds = [
        constants(node.input[_PLACE_OF_SEED.get(node.op, 1)])
        for node in nodes
        if node.op.startswith("Stateless")
        and _RANDOM.search(node.op)
        and node.op not in ("StatelessRandomGetKeyCounter", "StatelessRandomGetAlg")
    ]
    return frozenset(b"".join(seed) for seed in seeds if seed)


_PLACE_OF_SEED = {"StatelessMultinomial": 2, "StatelessSampleDistortedBoundingBox": 3}
_FROM_OUTSIDE = ("Placeholder", "ReadVariableOp", "PyFunc", "EagerPyFunc", "PyFuncStateless")

_SAME_IN_XLA = re.compile(r"UniformFullInt|GetKeyCounter|GetAlg")
_CANNOT_COMPILE = (
    "compile-time constant|not compilable|XLA_CPU_JIT|XlaCompile|uncompilable"
    "|requires a fixed tensor list size"  # the gradient of a loop without a bound
)
_RANDOM = re.compile(
    r"Random(?!Dataset)|TruncatedNormal|Multinomial|Stateful.*Normal|StatefulUnif"
    r"|CandidateSampler|SampleDistortedBoundingBox|StatelessShuffle"
)


def why_not_compiled(error: Exception) -> str | None:
    """What XLA cannot compile, read from its error, or `None` for an error of another kind."""
    text = str(error)
    unsupported = re.search(r"unsupported operations.*?: ?(.*?)(?:\n|$)", text)
    if unsupported:
        return f"XLA has no kernel for it ({_shortened(unsupported.group(1))})"
    if re.search(_CANNOT_COMPILE, text):
        return f"XLA cannot compile it ({_shortened(text.strip().splitlines()[0])})"
    if re.search(r"RET_CHECK failure.*variable\.var\(\)", text):
        return "XLA takes no resource but variables, and no lookup table"
    return None


def _shortened(text: str) -> str:
    return textwrap.shorten(text, 120, placeholder=" ...")
