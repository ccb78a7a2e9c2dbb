"""Whether two layers in one state can be compared by numbers."""

from tfk_patterns.parity.outcome import Failure


def why_not_compared(subject, training: bool) -> str | None:
    """Why two layers in the same state may draw other numbers, or `None` where they do not.

    Draws from a layer's own state repeat; those from TensorFlow's global state do not.

    Args:
        subject: The subject of the check.
        training: The `training` argument of the call.
    """
    try:
        reason = subject.random_ops(training).why_not("eager")
    except Failure:  # what cannot be traced shows in calls alone
        reason = None
    return reason or subject.why_not_repeated(training)
