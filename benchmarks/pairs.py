"""Times two functions against each other, in pairs, and says how sure the ratio is."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import tensorflow as tf


class Pairs(NamedTuple):
    """Seconds per call of ours and of the peer, pair by pair."""

    ours: list[float]
    peer: list[float]

    @property
    def ratios(self) -> list[float]:
        return [ours / peer for ours, peer in zip(self.ours, self.peer, strict=True)]


def seconds(function: Callable, calls: int) -> float:
    """How long one call takes, over a loop of them; the last result is waited for."""
    start = time.perf_counter()
    for _ in range(calls):
        result = function()
    for tensor in tf.nest.flatten(result):
        if tensor is not None:
            memoryview(tensor)  # which copies nothing
    return (time.perf_counter() - start) / calls


def calls_for(function: Callable, duration: float) -> int:
    """How many calls take that many seconds at least."""
    calls = 1
    while (one := seconds(function, calls)) * calls < duration:
        calls = max(2 * calls, math.ceil(duration / one))
    return calls


def measure(ours: Callable, peer: Callable, pairs: int, duration: float) -> Pairs:
    """Times the two directly after one another, in alternating order, each for that long."""
    for function in (ours, peer):  # traces, compiles, and fills caches
        seconds(function, 3)
    found = Pairs([], [])
    sides = [
        (side, calls_for(side, duration), to) for side, to in zip((ours, peer), found, strict=True)
    ]
    gc.collect()
    gc.disable()
    try:
        for _ in range(pairs):
            for function, calls, times in sides:
                times.append(seconds(function, calls))
            sides.reverse()
    finally:
        gc.enable()
    return found


def interval(values: list[float]) -> tuple[float, float] | None:
    """95 % interval of the median from order statistics; `None` for under six values.

    The k-th smallest and the k-th largest, for the largest k for which the median lies between
    them in at least 95 % of samples, whatever the distribution.
    """
    count, tail, k = len(values), 0.0, 0
    while (tail := tail + math.comb(count, k) / 2**count) <= 0.025:
        k += 1
    ordered = sorted(values)
    return (ordered[k - 1], ordered[-k]) if k else None


def row(name: str, found: Pairs, target: float) -> dict:
    """A row of the table, times in milliseconds.

    `met` when the interval of the ratio reaches the target, `missed` when it lies wholly beyond
    it, `unresolved` when there is none.
    """
    low, high = interval(found.ratios) or (None, None)
    verdict = "unresolved" if low is None else "met" if low <= target else "missed"
    return {
        "name": name,
        "ours": round(1000 * statistics.median(found.ours), 4),
        "peer": round(1000 * statistics.median(found.peer), 4),
        "ratio": round(statistics.median(found.ratios), 4),
        "low": low and round(low, 4),
        "high": high and round(high, 4),
        "target": target,
        "verdict": verdict,
    }


def geometric_mean(rows: Iterable[Pairs]) -> Pairs:
    """The geometric mean over rows, pair by pair: the first pairs of all rows, the second, ..."""
    sides = zip(*rows, strict=True)
    return Pairs(*(list(map(statistics.geometric_mean, zip(*side, strict=True))) for side in sides))
