"""The checks, in the order in which they run: cheap ones, and what others follow from, first."""

from tfk_patterns.parity.check import Check
from tfk_patterns.parity.checks.fit import fit
from tfk_patterns.parity.checks.gradients import gradients
from tfk_patterns.parity.checks.losses import losses
from tfk_patterns.parity.checks.masks import masks
from tfk_patterns.parity.checks.metrics import metrics
from tfk_patterns.parity.checks.outputs import outputs
from tfk_patterns.parity.checks.variables import variables

LAYER_CHECKS: tuple[Check, ...] = (
    outputs,
    masks,
    losses,
    metrics,
    variables,
    gradients,
    fit,
)
