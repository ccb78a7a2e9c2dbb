"""The only place that knows which Keras generation `tf.keras` is.

`keras2.py` and `keras3.py` are twins that offer the same functions; the one that fits is
re-exported here, with what both generations spell alike (`common.py`).
"""

from tfk_patterns._keras._environment import keras_generation

GENERATION: int = keras_generation()
"""2 where `tf.keras` is Keras 2 (TensorFlow 2.15, or tf-keras), 3 where it is Keras 3."""

if GENERATION == 2:
    from tfk_patterns._keras import keras2 as _twin
else:
    from tfk_patterns._keras import keras3 as _twin

# After the check of the environment, and not at the top: these load Keras.
from tfk_patterns._keras.common import (  # noqa: E402
    attach_mask,
    attached_mask,
    metrics_of,
    register,
    state_variables,
    sublayers,
)

AUTOGRAPH: bool = _twin.AUTOGRAPH
add_exact_weight = _twin.add_exact_weight
check_generation_of = _twin.check_generation_of
keep_losses_per_replica = _twin.keep_losses_per_replica
supports_jit = _twin.supports_jit
trainable_variables = _twin.trainable_variables
variable_name = _twin.variable_name

__all__ = [
    "AUTOGRAPH",
    "GENERATION",
    "add_exact_weight",
    "attach_mask",
    "attached_mask",
    "check_generation_of",
    "keep_losses_per_replica",
    "metrics_of",
    "register",
    "state_variables",
    "sublayers",
    "supports_jit",
    "trainable_variables",
    "variable_name",
]
