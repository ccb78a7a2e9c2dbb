"""Losses that a layer adds, of which an eager island makes one."""

import numpy as np


def compare_losses(subject, expected, actual, where: str, hint: str) -> None:
    """Compares each loss with its like, or their sums where there are not as many of a dtype.

    Only the step knows what the one loss of an eager island is the sum of.

    Raises:
        Failure: They differ.
    """
    if _dtypes(expected) != _dtypes(actual):
        sums = [np.float32(sum(map(np.sum, losses))) for losses in (expected, actual)]
        if not subject.difference(*sums).description:
            subject.tally.compared += 1
            return
    subject.compare(expected, actual, where, "losses", hint)


def _dtypes(losses):
    return [str(loss.dtype) for loss in losses]
