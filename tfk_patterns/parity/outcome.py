"""How a check ends early: with a failure, or by not applying."""

import unittest


class Failure(Exception):
    """What a check found wrong.

    Args:
        message: What differs from what, in one sentence.
        where: The mode, the call and the tensor.
        hint: The likely cause and what to change.
        max_abs_error: Largest absolute difference, where numbers were compared.
        max_rel_error: That difference relative to the largest expected magnitude.
        check: The check whose matter this is, where another one may come upon it: that one then
            reads `skipped: follows from ...`.
    """

    def __init__(
        self,
        message: str,
        where: str = "",
        hint: str = "",
        max_abs_error: float | None = None,
        max_rel_error: float | None = None,
        check: str | None = None,
    ):
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        self.max_abs_error = max_abs_error
        self.max_rel_error = max_rel_error
        self.check = check


class Skip(unittest.SkipTest):
    """Says why a check cannot apply; test runners, too, read it as a skipped test.

    Args:
        reason: Why, in a few words.
    """

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason
