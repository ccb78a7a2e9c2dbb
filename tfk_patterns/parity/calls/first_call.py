"""A layer that is not built, first called where a graph is traced: as in `fit`."""

import contextlib

from tfk_patterns.parity import observation
from tfk_patterns.parity.errors import blamed
from tfk_patterns.parity.modes import run_in
from tfk_patterns.parity.objects.python_state import PythonState, python_state
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.subject import Subject

_HINT = (
    "Keras 3 runs `build` in the graph where the first call is traced: make there what needs no "
    "tensor's value, or make it in `with tf.init_scope():`."
)


def state_after_first_call(subject: Subject) -> PythonState:
    """What the layer keeps in Python after its first call was traced; found once.

    Raises:
        Failure: The call cannot be traced.
    """
    return subject.shared("first call in a graph", lambda: _first_call(subject))


def _first_call(subject: Subject) -> PythonState:
    layer = subject.reference.fresh()

    def call(data):
        observation.call_layer(layer, data, subject.case.fixed_kwargs, training=False)
        raise _Traced  # one trace says all: TensorFlow makes a second where variables are made

    with (
        equal_circumstances(),
        contextlib.suppress(_Traced),
        blamed("the first call cannot be traced", "not built", _HINT, check="eager_only"),
    ):
        run_in("graph", call)(subject.data)
    return python_state(layer)


class _Traced(BaseException):
    """Ends a trace."""
