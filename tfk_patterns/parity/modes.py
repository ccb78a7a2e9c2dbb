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
        from_state: It draws from a state of its own: the same in eager and graph, but not in XLA.
        from_global: It draws from TensorFlow's global generators: not the same in any two modes.
    """

    from_state: bool = False
    from_global: bool = False

    def __bool__(self) -> bool:
        return self.from_state or self.from_global

    def why_not(self, mode: str) -> str | None:
        """Why draws in `mode` cannot equal those in eager mode, or `None` where they can."""
        if self.from_global:
            return "draws from TensorFlow's global random state, which no two modes read alike"
        if self.from_state and mode == "xla":
            return "XLA draws other bits"
        return None


def random_ops(function, *args) -> RandomOps:
    """Which random operations the trace of a `tf.function` for these arguments holds."""
    graph_def = function.get_concrete_function(*args).graph.as_graph_def()
    bodies = [graph_def.node, *(body.node_def for body in graph_def.library.function)]
    found = {node.op for nodes in bodies for node in nodes if _RANDOM.search(node.op)}
    from_state = {op for op in found if op.startswith(("Stateless", "Stateful"))}
    return RandomOps(bool(from_state), bool(found - from_state))


_RANDOM = re.compile(
    r"Random(?!Dataset)|TruncatedNormal|Multinomial|Stateful.*Normal|StatefulUnif"
    r"|CandidateSampler|SampleDistortedBoundingBox"
)


def why_not_compiled(error: Exception) -> str | None:
    """What XLA cannot compile, read from its error, or `None` for an error of another kind."""
    text = str(error)
    unsupported = re.search(r"unsupported operations.*?: ?(.*?)(?:\n|$)", text)
    if unsupported:
        return f"XLA has no kernel for it ({_shortened(unsupported.group(1))})"
    if re.search(r"compile-time constant|not compilable|XLA_CPU_JIT|XlaCompile|uncompilable", text):
        return f"XLA cannot compile it ({_shortened(text.strip().splitlines()[0])})"
    return None


def _shortened(text: str) -> str:
    return textwrap.shorten(text, 120, placeholder=" ...")
