"""What the twins share, and do not offer."""

import contextlib
import random
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
    """TensorFlow without a global seed; it is put back after, and how far its draws have come.

    Kernels of operations without a seed of their own are cached by the global one: one that a
    caller has made already must not go on drawing meanwhile.
    """
    context = vars(eager_context.context())
    before = {name: context[name] for name in ("_seed", "_rng") if name in context}
    context.update(_seed=None, _rng=random.Random())
    try:
        yield
    finally:
        context.update(before)


def known_training(training) -> bool:
    """The value of `training`, which must be known while a graph is traced."""
    if tf.is_tensor(training):
        value = tf.get_static_value(training)
        if value is None:
            raise TypeError(
                "`training` must be True or False when the graph is traced, where a layer tracks "
                f"metrics. Received: training={training!r}"
            )
        training = value
    return bool(training)


def dtypes_for(structure, dtypes):
    """A dtype for each leaf of a structure, from one dtype or from a structure of them."""
    if isinstance(dtypes, str | tf.DType):
        return tf.nest.map_structure(lambda _: tf.as_dtype(dtypes), structure)
    return tf.nest.map_structure(lambda _, dtype: tf.as_dtype(dtype), structure, dtypes)
