"""Merges of several inputs, and attention."""

from tensorflow import keras

from tests.parity.builtin_cases._data import (
    IMAGES,
    MASK,
    OTHER_IMAGES,
    OTHER_MASK,
    OTHER_STEPS,
    OTHER_VECTORS,
    RAGGED_STEPS,
    STEPS,
    VECTORS,
    cases,
    normal,
)

L = keras.layers

_TWO, _TWO_STEPS, _TWO_MASKS = [VECTORS, OTHER_VECTORS], [STEPS, OTHER_STEPS], [MASK, OTHER_MASK]
_THREE = [VECTORS, OTHER_VECTORS, normal(5)]

_MERGES = {
    "Add": (lambda: L.Add(), _THREE),
    "Add_broadcast": (lambda: L.Add(), [STEPS, normal(1, 5)]),
    "Average": (lambda: L.Average(), _THREE),
    "Concatenate": (lambda: L.Concatenate(axis=1), [IMAGES, OTHER_IMAGES[:, :3]]),
    "Concatenate_half_masked": (lambda: L.Concatenate(axis=-1), _TWO_STEPS, [MASK, None]),
    "Concatenate_ragged": (lambda: L.Concatenate(), [RAGGED_STEPS, RAGGED_STEPS]),
    "Dot": (lambda: L.Dot(axes=(2, 1), normalize=True), [STEPS, VECTORS]),
    "Maximum": (lambda: L.Maximum(), _THREE),
    "Minimum": (lambda: L.Minimum(), _THREE),
    "Multiply": (lambda: L.Multiply(), _THREE),
    "Subtract": (lambda: L.Subtract(), _TWO),
    "Dot_masked": (lambda: L.Dot(axes=2), _TWO_STEPS, _TWO_MASKS),
}
_PLAIN = ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")
_MASKED = {f"{name}_masked": (_MERGES[name][0], _TWO_STEPS, _TWO_MASKS) for name in _PLAIN}

# Queries, and longer values and keys of another width.
_QUERIES, _VALUES, _KEYS = STEPS, normal(7, 3), normal(7, 5)
_VALUE_MASK = normal(7) > -0.5
_PAIRS = normal(6, 7) > -0.5

_ATTENTION = {
    "AdditiveAttention": (
        lambda: L.AdditiveAttention(use_scale=False, dropout=0.3),
        [_QUERIES, _VALUES, _KEYS],
    ),
    "AdditiveAttention_masked": (lambda: L.AdditiveAttention(), _TWO_STEPS, _TWO_MASKS),
    "Attention": (
        lambda: L.Attention(use_scale=True, score_mode="concat"),
        [_QUERIES, _VALUES, _KEYS],
        None,
        {"return_attention_scores": True},
    ),
    "Attention_dropout": (lambda: L.Attention(dropout=0.3), _TWO_STEPS),
    "Attention_masked": (
        lambda: L.Attention(use_scale=True),
        [_QUERIES, _VALUES, _KEYS],
        [MASK, _VALUE_MASK, None],
    ),
    "Attention_causal": (
        lambda: L.Attention(),
        _TWO_STEPS,
        _TWO_MASKS,
        {"use_causal_mask": True},
    ),
    "MultiHeadAttention": (
        lambda: L.MultiHeadAttention(2, 4, value_dim=3, use_bias=False, output_shape=6),
        _QUERIES,
        None,
        {"value": _VALUES, "key": _KEYS, "attention_mask": _PAIRS, "return_attention_scores": True},
    ),
    "MultiHeadAttention_dropout": (
        lambda: L.MultiHeadAttention(2, 4, dropout=0.3),
        _QUERIES,
        None,
        {"value": _VALUES},
    ),
    "MultiHeadAttention_images": (
        lambda: L.MultiHeadAttention(2, 3, attention_axes=(1, 2)),
        IMAGES,
        None,
        {"value": OTHER_IMAGES},
    ),
    "MultiHeadAttention_masked": (
        lambda: L.MultiHeadAttention(2, 4),
        _QUERIES,
        MASK,
        {"value": OTHER_STEPS, "use_causal_mask": True},
    ),
    "GroupQueryAttention": (
        lambda: L.GroupQueryAttention(4, 6, 2, use_gate=True),
        _QUERIES,
        None,
        {"value": _VALUES, "key": _KEYS, "attention_mask": _PAIRS},
    ),
    "GroupQueryAttention_masked": (
        lambda: L.GroupQueryAttention(4, 2, 1, use_bias=False, dropout=0.3),
        _QUERIES,
        MASK,
        {"value": OTHER_STEPS, "use_causal_mask": True},
    ),
}

CASES = cases(_MERGES | _MASKED | _ATTENTION)
