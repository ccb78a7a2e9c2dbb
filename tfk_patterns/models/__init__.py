"""The public models, one by one."""

from tfk_patterns.models.distillation_model import DistillationModel
from tfk_patterns.models.gradient_accumulation_model import GradientAccumulationModel
from tfk_patterns.models.sharpness_aware_model import SharpnessAwareModel
from tfk_patterns.models.train_step_model import TrainStepModel

__all__ = [
    "DistillationModel",
    "GradientAccumulationModel",
    "SharpnessAwareModel",
    "TrainStepModel",
]
