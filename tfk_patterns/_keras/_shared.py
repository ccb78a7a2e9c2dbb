"""What the twins share, and do not offer."""

import contextlib
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import context as eager_context


def given_metrics(container: Any) -> dict[str, Any]:
    """What the container of a model's compiled metrics was made with, by argument of `compile`."""
    names = ("metrics", "weighted_metrics")
    given = {name: getattr(container, f"_user_{name}", None) for name in names}
    return {name: metrics for name, metrics in given.items() if tf.nest.flatten(metrics or [])}


@contextlib.contextmanager
def tensorflow_seed_kept():
    """Puts TensorFlow's global seed back, and the place in the numbers that it has reached."""
    context = vars(eager_context.context())
    before = {name: context[name] for name in ("_seed", "_rng") if name in context}
    reached = before["_rng"].getstate() if "_rng" in before else None
    try:
        yield
    finally:
        context.update(before)
        if reached is not None:
            before["_rng"].setstate(reached)
