"""The only place that knows which Keras generation `tf.keras` is.

`keras2.py` and `keras3.py` are twins that offer the same functions, and so are
`keras2_islands.py` and `keras3_islands.py`, for layers that run eagerly in a graph, and
`keras2_training.py` and `keras3_training.py`, for models with their own `train_step`; those that
fit are re-exported here, with what both generations spell alike (`common.py`).
"""

from tfk_patterns._keras._environment import keras_generation

GENERATION: int = keras_generation()
"""2 where `tf.keras` is Keras 2 (TensorFlow 2.15, or tf-keras), 3 where it is Keras 3."""

if GENERATION == 2:
    from tfk_patterns._keras import keras2 as _twin
    from tfk_patterns._keras import keras2_islands as _islands
    from tfk_patterns._keras import keras2_training as _training
else:
    from tfk_patterns._keras import keras3 as _twin
    from tfk_patterns._keras import keras3_islands as _islands
    from tfk_patterns._keras import keras3_training as _training

# After the check of the environment, and not at the top: these load Keras.
from tfk_patterns._keras.common import (  # noqa: E402
    as_in_step,
    attach_mask,
    attached_mask,
    bookkeeping,
    compiles_with_xla,
    defines,
    exports,
    global_settings,
    in_step,
    infers_shapes,
    inner_optimizer,
    installed_package,
    is_keras_own,
    is_metric,
    loss_scale,
    map_gradients,
    metrics_of,
    optimizers_of,
    overrides,
    policy_name,
    recurrent_states,
    register,
    repeated_draws,
    restore_global_settings,
    scales_loss,
    state_variables,
    sublayers,
)

ADDS_UP_ROWS: bool = _twin.ADDS_UP_ROWS
AUTOGRAPH: bool = _twin.AUTOGRAPH
Operation = _twin.Operation
add_exact_weight = _twin.add_exact_weight
believes_shapes_of = _twin.believes_shapes_of
build_on_replicas = _twin.build_on_replicas
call_exported = _twin.call_exported
check_generation_of = _twin.check_generation_of
global_policy = _twin.global_policy
holds_python_code = _twin.holds_python_code
ignored_updates = _twin.ignored_updates
is_compiled = _twin.is_compiled
keep_losses_per_replica = _twin.keep_losses_per_replica
loss_of = _twin.loss_of
metrics_arguments = _twin.metrics_arguments
optimizer_variables = _twin.optimizer_variables
random_states = _twin.random_states
restore_loss_scale = _twin.restore_loss_scale
serialized_loss = _twin.serialized_loss
set_loss_scale = _twin.set_loss_scale
shape_argument = _twin.shape_argument
supports_jit = _twin.supports_jit
tensorflow_variables_of = _twin.tensorflow_variables_of
traced_output_spec = _twin.traced_output_spec
trainable_variables = _twin.trainable_variables
training_of_call = _twin.training_of_call
variable_name = _twin.variable_name
without_autocast = _twin.without_autocast
without_global_seed = _twin.without_global_seed
PREDICTS_ON_BATCHES: bool = _training.PREDICTS_ON_BATCHES
BaseDynamicLayer = _islands.BaseDynamicLayer
added_losses = _islands.added_losses
outermost_call = _islands.outermost_call
is_stateless = _islands.is_stateless
output_specs = _islands.output_specs
split_variables = _islands.split_variables
run_in_mode = _islands.run_in_mode
runs_eagerly = _islands.runs_eagerly
adds_gradients_up = _training.adds_gradients_up
apply_mean_gradients = _training.apply_mean_gradients
build_for = _training.build_for
build_step = _training.build_step
compiled_losses = _training.compiled_losses
compiled_trainable_state = _training.compiled_trainable_state
functional_class = _training.functional_class
functional_config = _training.functional_config
generator_states = _training.generator_states
log_computed_loss = _training.log_computed_loss
log_loss = _training.log_loss
logged_by_compute_loss = _training.logged_by_compute_loss
reset_step_counter = _training.reset_step_counter
scaled_loss = _training.scaled_loss
step_counter = _training.step_counter
steps_per_execution = _training.steps_per_execution
symbolic_structures = _training.symbolic_structures
tensorflow_variable = _training.tensorflow_variable
total_loss = _training.total_loss
unscaled_gradients = _training.unscaled_gradients
update_metrics = _training.update_metrics

__all__ = [
    "ADDS_UP_ROWS",
    "AUTOGRAPH",
    "GENERATION",
    "PREDICTS_ON_BATCHES",
    "BaseDynamicLayer",
    "Operation",
    "add_exact_weight",
    "added_losses",
    "adds_gradients_up",
    "apply_mean_gradients",
    "as_in_step",
    "attach_mask",
    "attached_mask",
    "believes_shapes_of",
    "bookkeeping",
    "build_for",
    "build_on_replicas",
    "build_step",
    "call_exported",
    "check_generation_of",
    "compiled_losses",
    "compiled_trainable_state",
    "compiles_with_xla",
    "defines",
    "exports",
    "functional_class",
    "functional_config",
    "generator_states",
    "global_policy",
    "global_settings",
    "holds_python_code",
    "ignored_updates",
    "in_step",
    "infers_shapes",
    "inner_optimizer",
    "installed_package",
    "is_compiled",
    "is_keras_own",
    "is_metric",
    "is_stateless",
    "keep_losses_per_replica",
    "log_computed_loss",
    "log_loss",
    "logged_by_compute_loss",
    "loss_of",
    "loss_scale",
    "map_gradients",
    "metrics_arguments",
    "metrics_of",
    "optimizer_variables",
    "optimizers_of",
    "outermost_call",
    "output_specs",
    "overrides",
    "policy_name",
    "random_states",
    "recurrent_states",
    "register",
    "repeated_draws",
    "reset_step_counter",
    "restore_global_settings",
    "restore_loss_scale",
    "run_in_mode",
    "runs_eagerly",
    "scaled_loss",
    "scales_loss",
    "serialized_loss",
    "set_loss_scale",
    "shape_argument",
    "split_variables",
    "state_variables",
    "step_counter",
    "steps_per_execution",
    "sublayers",
    "supports_jit",
    "symbolic_structures",
    "tensorflow_variable",
    "tensorflow_variables_of",
    "total_loss",
    "traced_output_spec",
    "trainable_variables",
    "training_of_call",
    "unscaled_gradients",
    "update_metrics",
    "variable_name",
    "without_autocast",
    "without_global_seed",
]
