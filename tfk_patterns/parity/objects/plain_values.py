"""Plain Python values as text that tells any two of them apart."""

import collections
import datetime
import decimal
import enum
import fractions
import itertools
import pathlib
import zlib
from typing import Any

import numpy as np
import tensorflow as tf

MOST_ENTRIES, _MOST_ELEMENTS = 1_000, 100_000

_PLAIN = (
    *(type(None), bool, int, float, complex, str, bytes, bytearray, range, slice),
    *(enum.Enum, decimal.Decimal, fractions.Fraction, pathlib.PurePath),
    *(datetime.date, datetime.time, datetime.timedelta),
    *(np.generic, np.dtype, tf.DType, tf.TensorShape),
)


def text_of(value: Any, depth: int = 5) -> str | None:
    """A plain value, or a list, tuple or set of such, as text; `None` for anything else."""
    if not depth:  # so deep a list may hold itself
        return None
    if isinstance(value, np.generic) and value.dtype != object:
        return repr(value.item())
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, np.ndarray) and value.dtype != object:
        if value.size <= 100:
            return f"array({value.tolist()})"
        sample = value.flat[:: 1 + value.size // _MOST_ELEMENTS]
        return f"an array of shape {value.shape}, checksum {zlib.crc32(sample.tobytes()):08x}"
    if isinstance(value, list | tuple | set | frozenset | collections.deque):
        texts = [text_of(item, depth - 1) for item in itertools.islice(value, MOST_ENTRIES)]
        if None in texts:
            return None
        unordered = isinstance(value, set | frozenset)
        more = f" of {len(value)}" if len(value) > MOST_ENTRIES else ""
        return f"[{', '.join(sorted(texts) if unordered else texts)}]{more}"
    return None
