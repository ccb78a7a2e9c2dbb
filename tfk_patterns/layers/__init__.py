"""The public layers, one by one."""

from tfk_patterns.layers.base_activity_regularization import BaseActivityRegularization
from tfk_patterns.layers.batch_norm_dropout import BatchNormDropout
from tfk_patterns.layers.decorrelation_activity_regularization import (
    DecorrelationActivityRegularization,
)
from tfk_patterns.layers.l1l2_activity_regularization import L1L2ActivityRegularization
from tfk_patterns.layers.masked_pooling_1d import MaskedPooling1D
from tfk_patterns.layers.sparsity_activity_regularization import SparsityActivityRegularization
from tfk_patterns.layers.temporal_activity_regularization import TemporalActivityRegularization

__all__ = [
    "BaseActivityRegularization",
    "BatchNormDropout",
    "DecorrelationActivityRegularization",
    "L1L2ActivityRegularization",
    "MaskedPooling1D",
    "SparsityActivityRegularization",
    "TemporalActivityRegularization",
]
