"""The harness: does a layer do the same in every mode?"""

from tfk_patterns.parity.case import LayerCase as LayerCase
from tfk_patterns.parity.report import ParityError as ParityError
from tfk_patterns.parity.report import Report as Report
from tfk_patterns.parity.runner import check_layer as check_layer
from tfk_patterns.parity.runner import list_checks as list_checks
from tfk_patterns.parity.runner import parametrize_checks as parametrize_checks
