"""The checks of models, in the order in which they run."""

from tfk_patterns.parity.check import Check
from tfk_patterns.parity.checks.model.batch_methods import batch_methods
from tfk_patterns.parity.checks.model.class_weights import class_weight
from tfk_patterns.parity.checks.model.compiled_metrics import compiled_metrics
from tfk_patterns.parity.checks.model.custom_layers import custom_layers
from tfk_patterns.parity.checks.model.evaluate_predict import evaluate_predict
from tfk_patterns.parity.checks.model.fit import fit
from tfk_patterns.parity.checks.model.gradient_clipping import gradient_clipping
from tfk_patterns.parity.checks.model.logged_loss import logged_loss
from tfk_patterns.parity.checks.model.loss_scaling import loss_scaling
from tfk_patterns.parity.checks.model.losses import extra_losses
from tfk_patterns.parity.checks.model.replicas import replicas
from tfk_patterns.parity.checks.model.resume import resume
from tfk_patterns.parity.checks.model.sample_weights import sample_weight

MODEL_CHECKS: tuple[Check, ...] = (
    custom_layers,
    fit,
    compiled_metrics,
    logged_loss,
    extra_losses,
    sample_weight,
    class_weight,
    evaluate_predict,
    batch_methods,
    loss_scaling,
    gradient_clipping,
    resume,
    replicas,
)
