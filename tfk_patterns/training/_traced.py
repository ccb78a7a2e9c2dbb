"""What a training step reads and draws from, seen in its graph."""

import warnings

import tensorflow as tf

from tfk_patterns.training._reproducibility import STATEFUL_RANDOM


def traced(function, data):
    """The graph of a compiled function of `_executions`, traced but not run."""
    return function.get_concrete_function(data.empty_iterator(), tf.constant(1), True).graph


def warn_of_what_is_not_seen() -> None:
    """Warns of steps that have no graph."""
    warnings.warn(
        "With `run_eagerly` nobody can see whether the model draws random numbers, or keeps a "
        "state, outside of its variables. No checkpoint holds that.",
        stacklevel=2,
    )


def warn_of_random_operations(graph) -> None:
    """Warns of operations that draw from a state of their own."""
    definition = graph.as_graph_def()
    functions = (function.node_def for function in definition.library.function)
    nodes = [node for part in (definition.node, *functions) for node in part]
    drawing = sorted({node.name for node in nodes if node.op in STATEFUL_RANDOM})
    if drawing:
        warnings.warn(
            f"The model draws random numbers from a state that no checkpoint holds: {drawing}. "
            "After a restart they are not those of a run without one. The layers of tfk_patterns "
            "and of Keras 3 draw from a variable, and so do those of Keras 2 that are made after "
            "`keras.backend.experimental.enable_tf_random_generator()`.",
            stacklevel=2,
        )
