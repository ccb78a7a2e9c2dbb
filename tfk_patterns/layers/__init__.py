"""The public layers, one by one."""

from tfk_patterns.layers.activation_monitor import ActivationMonitor
from tfk_patterns.layers.autograph import autograph_call
from tfk_patterns.layers.base_activity_regularization import BaseActivityRegularization
from tfk_patterns.layers.batch_norm_dropout import BatchNormDropout
from tfk_patterns.layers.decorrelation_activity_regularization import (
    DecorrelationActivityRegularization,
)
from tfk_patterns.layers.dynamic_layer import DynamicLayer
from tfk_patterns.layers.gaussian_sampling import GaussianSampling
from tfk_patterns.layers.l1l2_activity_regularization import L1L2ActivityRegularization
from tfk_patterns.layers.masked_attention_pooling_1d import MaskedAttentionPooling1D
from tfk_patterns.layers.masked_conv_1d import MaskedConv1D
from tfk_patterns.layers.masked_pooling_1d import MaskedPooling1D
from tfk_patterns.layers.masked_sequence_normalization import MaskedSequenceNormalization
from tfk_patterns.layers.metric_tracking import MetricTracking
from tfk_patterns.layers.mlp import MLP
from tfk_patterns.layers.prediction_endpoint import PredictionEndpoint
from tfk_patterns.layers.running_standardizer import RunningStandardizer
from tfk_patterns.layers.sparsity_activity_regularization import SparsityActivityRegularization
from tfk_patterns.layers.temporal_activity_regularization import TemporalActivityRegularization
from tfk_patterns.layers.tree_lstm import TreeLSTM

__all__ = [
    "MLP",
    "ActivationMonitor",
    "BaseActivityRegularization",
    "BatchNormDropout",
    "DecorrelationActivityRegularization",
    "DynamicLayer",
    "GaussianSampling",
    "L1L2ActivityRegularization",
    "MaskedAttentionPooling1D",
    "MaskedConv1D",
    "MaskedPooling1D",
    "MaskedSequenceNormalization",
    "MetricTracking",
    "PredictionEndpoint",
    "RunningStandardizer",
    "SparsityActivityRegularization",
    "TemporalActivityRegularization",
    "TreeLSTM",
    "autograph_call",
]
