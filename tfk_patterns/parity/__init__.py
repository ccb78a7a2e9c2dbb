"""The harness: is a layer or a model right, and does it do the same in every mode?"""

from tfk_patterns.parity.case import LayerCase
from tfk_patterns.parity.model_case import ModelCase
from tfk_patterns.parity.report import ParityError, Report
from tfk_patterns.parity.result import Result
from tfk_patterns.parity.runner import check_layer, check_model, list_checks, parametrize_checks

__all__ = [
    "LayerCase",
    "ModelCase",
    "ParityError",
    "Report",
    "Result",
    "check_layer",
    "check_model",
    "list_checks",
    "parametrize_checks",
]
