"""The public layers, one by one."""

from tfk_patterns.layers.base_activity_regularization import (
    BaseActivityRegularization as BaseActivityRegularization,
)
from tfk_patterns.layers.batch_norm_dropout import BatchNormDropout as BatchNormDropout
from tfk_patterns.layers.decorrelation_activity_regularization import (
    DecorrelationActivityRegularization as DecorrelationActivityRegularization,
)
from tfk_patterns.layers.l1l2_activity_regularization import (
    L1L2ActivityRegularization as L1L2ActivityRegularization,
)
from tfk_patterns.layers.masked_pooling_1d import MaskedPooling1D as MaskedPooling1D
from tfk_patterns.layers.sparsity_activity_regularization import (
    SparsityActivityRegularization as SparsityActivityRegularization,
)
from tfk_patterns.layers.temporal_activity_regularization import (
    TemporalActivityRegularization as TemporalActivityRegularization,
)
