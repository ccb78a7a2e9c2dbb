"""Where the gradient of a layer may be another than that of what it computes, by its trace."""

import dataclasses
import functools
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity import observation
from tfk_patterns.parity.errors import written


@dataclasses.dataclass(frozen=True)
class GradientOps:
    """What the trace of a layer holds that can make its gradient another one.

    Args:
        custom: Names of the functions with a `tf.custom_gradient` of the user's own that cannot
            be meant to differ from what they compute.
        python: Whether Python functions run in it, by `tf.numpy_function` or `tf.py_function`.
        meant: Why the gradient may differ by intent, or an empty string.
    """

    custom: tuple[str, ...]
    python: bool
    meant: str


def gradient_ops(subject, training: bool) -> GradientOps:
    """Traces the layer of a subject and looks for what can make its gradient another one.

    Raises:
        Failure: The layer cannot be traced.
    """
    subject.observe("graph", training)  # says so if it cannot
    return subject.shared(("gradient_ops", training), lambda: _found(subject, training))


def _found(subject, training: bool) -> GradientOps:
    layer, fixed_kwargs = subject.layer(), subject.case.fixed_kwargs

    def call(data):
        outputs = observation.call_layer(layer, data, fixed_kwargs, training)
        return outputs, list(layer.losses)

    traced = tf.function(call, autograph=_keras.AUTOGRAPH)
    graph = traced.get_concrete_function(subject.data).graph
    bodies = graph.as_graph_def().library.function
    inner = [node for body in bodies for node in body.node_def]
    names = [(op.type, op.name) for op in graph.get_operations()]
    names += [(node.op, node.name) for node in inner]
    custom = [op for op in graph.get_operations() if _is_custom(op.node_def)]
    deliberate = next(filter(None, map(_why_deliberate, custom)), "")
    if any(kind == "StopGradient" and not _EXACT.search(name) for kind, name in names):
        deliberate = "it stops gradients, by tf.stop_gradient, on purpose"
    elif any(map(_is_custom, inner)):
        deliberate = "it has a custom gradient inside a loop or condition"
    own = [_place(op) for op in custom if not _why_deliberate(op)]
    return GradientOps(
        custom=tuple(place for place in own if place),
        python=any(kind in ("PyFunc", "EagerPyFunc", "PyFuncStateless") for kind, _ in names),
        meant=deliberate,
    )


# Both subtract a constant that the result does not depend on.
_EXACT = re.compile(r"(moments|log_?sum_?exp)[^/]*/StopGradient", re.IGNORECASE)
_STEPS = re.compile(
    r"^(Round|Rint|Floor|Ceil|Sign|FakeQuant.*|Quantize.*|Greater.*|Less.*|Equal|NotEqual|ArgMax"
    r"|ArgMin|OneHot|TopK.*|FloorDiv|FloorMod|Select.*)$"
)


def _is_custom(node) -> bool:
    """Whether a node is where `tf.custom_gradient` ends."""
    return node.attr["_gradient_op_type"].s.startswith(b"CustomGradient")


def _why_deliberate(op) -> str:
    """Why a custom gradient may be meant to differ from what the function computes."""
    # Its inputs are the results of the function and then its arguments.
    result, *others = [_origin(tensor) for tensor in op.inputs]
    if any(result is other for other in others):
        return "it passes values on as they are, with a gradient of its own"
    if any(_STEPS.match(kind) for kind in _kinds_between(result, others)):
        return "it has a gradient of its own for a function with steps"
    return ""


def _origin(tensor):
    """What a tensor is a plain copy of."""
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor


def _kinds_between(result, arguments) -> Iterator[str]:
    """The types of the operations that lead from arguments to a result."""
    known = {id(tensor) for tensor in arguments}
    rest = [result]
    while rest:
        tensor = rest.pop()
        if id(tensor) not in known:
            known.add(id(tensor))
            yield tensor.op.type
            rest += tensor.op.inputs


def _place(op) -> str:
    """The user's line that calls a function with a custom gradient; none where a library does."""
    for frame in reversed(op.traceback):
        if not any(part in frame.filename for part in _PASSED_THROUGH):
            own = not str(Path(frame.filename).resolve()).startswith(_site_packages())
            return written(frame.filename, frame.lineno) if own else ""
    return ""


_PASSED_THROUGH = (
    "/ops/custom_gradient.py",
    "/ops/array_ops",
    "/ops/gen_array_ops",
    "/framework/",
    "/util/",
    "/eager/",
    "/autograph/",
    "/keras/src/backend/tensorflow/core.py",
)


@functools.cache
def _site_packages() -> tuple[str, ...]:
    return tuple(str(Path(sysconfig.get_path(key)).resolve()) for key in ("purelib", "platlib"))
