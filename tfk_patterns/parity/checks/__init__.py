"""The checks, in the order in which they run: cheap ones, and what others follow from, first."""

from tfk_patterns.parity.check import Check
from tfk_patterns.parity.checks.batch_independence import batch_independence
from tfk_patterns.parity.checks.batch_sizes import batch_sizes
from tfk_patterns.parity.checks.config import config
from tfk_patterns.parity.checks.dtype_policy import dtype_policy
from tfk_patterns.parity.checks.eager_only import eager_only
from tfk_patterns.parity.checks.export import export
from tfk_patterns.parity.checks.finite_differences import finite_differences
from tfk_patterns.parity.checks.finite_values import finite_values
from tfk_patterns.parity.checks.fit import fit
from tfk_patterns.parity.checks.frozen_randomness import frozen_randomness
from tfk_patterns.parity.checks.frozen_state import frozen_state
from tfk_patterns.parity.checks.fully_masked import fully_masked
from tfk_patterns.parity.checks.gradients import gradients
from tfk_patterns.parity.checks.inference_state import inference_state
from tfk_patterns.parity.checks.keras_file import keras_file
from tfk_patterns.parity.checks.leaked_tensors import leaked_tensors
from tfk_patterns.parity.checks.loss_lifetime import loss_lifetime
from tfk_patterns.parity.checks.loss_scale import loss_scale
from tfk_patterns.parity.checks.losses import losses
from tfk_patterns.parity.checks.low_precision import low_precision
from tfk_patterns.parity.checks.mask_dtype import mask_dtype
from tfk_patterns.parity.checks.mask_lost import mask_lost
from tfk_patterns.parity.checks.mask_shape import mask_shape
from tfk_patterns.parity.checks.masks import masks
from tfk_patterns.parity.checks.metric_history import metric_history
from tfk_patterns.parity.checks.metric_names import metric_names
from tfk_patterns.parity.checks.metrics import metrics
from tfk_patterns.parity.checks.outputs import outputs
from tfk_patterns.parity.checks.padding_content import padding_content
from tfk_patterns.parity.checks.padding_length import padding_length
from tfk_patterns.parity.checks.python_state import python_state
from tfk_patterns.parity.checks.random_inference import random_inference
from tfk_patterns.parity.checks.replicas import replicas
from tfk_patterns.parity.checks.retracing import retracing
from tfk_patterns.parity.checks.shared_state import shared_state
from tfk_patterns.parity.checks.symbolic_shape import symbolic_shape
from tfk_patterns.parity.checks.tracked_variables import tracked_variables
from tfk_patterns.parity.checks.training_argument import training_argument
from tfk_patterns.parity.checks.unknown_dimensions import unknown_dimensions
from tfk_patterns.parity.checks.variables import variables
from tfk_patterns.parity.checks.weights_file import weights_file
from tfk_patterns.parity.checks.weights_learn import weights_learn
from tfk_patterns.parity.checks.wrapped_call import wrapped_call

LAYER_CHECKS: tuple[Check, ...] = (
    eager_only,
    wrapped_call,
    frozen_randomness,
    leaked_tensors,
    retracing,
    python_state,
    outputs,
    shared_state,
    tracked_variables,
    config,
    batch_sizes,
    unknown_dimensions,
    symbolic_shape,
    batch_independence,
    masks,
    mask_shape,
    mask_dtype,
    mask_lost,
    padding_content,
    padding_length,
    losses,
    metrics,
    variables,
    weights_learn,
    gradients,
    finite_values,
    fully_masked,
    dtype_policy,
    low_precision,
    finite_differences,
    random_inference,
    inference_state,
    training_argument,
    frozen_state,
    metric_names,
    metric_history,
    loss_scale,
    loss_lifetime,
    fit,
    weights_file,
    keras_file,
    export,
    replicas,
)
