"""The harness: does a layer do the same in every mode?"""

from tfk_patterns.parity.case import LayerCase
from tfk_patterns.parity.report import ParityError, Report, Result
from tfk_patterns.parity.runner import check_layer, list_checks, parametrize_checks

__all__ = [
    "LayerCase",
    "ParityError",
    "Report",
    "Result",
    "check_layer",
    "list_checks",
    "parametrize_checks",
]
