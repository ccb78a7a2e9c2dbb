"""Gradient tapes of calls in a graph, kept from the forward pass to the backward one."""

import collections
import dataclasses
import itertools

import tensorflow as tf

MOST = 1024  # a step that failed between the passes leaves one behind


@dataclasses.dataclass
class Recorded:
    """What a call leaves for its gradient."""

    tape: tf.GradientTape
    targets: list
    inputs: list
    for_more: bool
    was_used: bool = False


class Tapes:
    """The tapes of the calls at one place of a graph, by a key for each call.

    A tape goes when it was used; where the graph takes several gradients, with the next call after
    all were used.
    """

    def __init__(self):
        self._kept: collections.OrderedDict[int, Recorded] = collections.OrderedDict()
        self._keys = itertools.count()

    def keep(self, recorded: Recorded) -> int:
        """Keeps what a call has left, and returns its key."""
        if all(one.was_used for one in self._kept.values()):
            self._kept.clear()  # another step: nobody asks for gradients of the last one
        key = next(self._keys)
        self._kept[key] = recorded
        if len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return key

    def take(self, key: int) -> Recorded | None:
        """What the call with that key has left, or `None` where it is gone."""
        recorded = self._kept.get(key)
        if recorded is not None:
            recorded.was_used = True
            if not recorded.for_more:
                del self._kept[key]
        return recorded
