"""What the harness finds in Keras' own layers: case to check to the heading in docs/findings.md."""

from tfk_patterns import _keras

_FROZEN = "A frozen SpectralNormalization moves its kernel"
_ZEROS = "Normalising zeros under mixed_float16 gives NaN"
_ALL_MASKED = "GlobalAveragePooling1D gives NaN for a fully masked sample"
_PADDING = "Layers that say they support masking let padding in"
_NO_SAMPLES = "Keras 3 adds and takes maxima of no samples wrongly"
_SHAPES = "Symbolic shapes of Keras 3 that are not those of the outputs"
_SCORES = "MultiHeadAttention attaches a mask of another shape to its scores"
_GROUPED = "GroupQueryAttention refuses symbolic inputs that it takes in eager mode"
_CELLS = "RNN cells of Keras 3 keep a dropout mask from one call to the next"
_RESIZING = "Bilinear resizing is wrong in XLA"
_LEAKED = "Normalization of Keras 3 leaks a tensor when it is first called in a graph"
_SPARSE = "CategoryEncoding(sparse=True) of Keras 3 cannot be traced"
_ATTENTION = "`compute_output_shape` of Keras 2's Attention is that of its queries"
_NO_MASKED = "GlobalAveragePooling1D of Keras 2 refuses no samples with a mask"

_BOTH: dict[str, dict[str, str]] = {
    "SpectralNormalization": {"frozen_state": _FROZEN},
    "SpectralNormalization_Conv2D": {"frozen_state": _FROZEN},
    "SpectralNormalization_masked": {"frozen_state": _FROZEN},
    "UnitNormalization": {"low_precision": _ZEROS},
    "UnitNormalization_masked": {"padding_content": _PADDING, "low_precision": _ZEROS},
    "LayerNormalization_masked": {"padding_content": _PADDING},
    "GlobalAveragePooling1D_masked": {"fully_masked": _ALL_MASKED},
    "Model_functional_masked": {"fully_masked": _ALL_MASKED},
    "Dot": {"low_precision": _ZEROS},
    "UpSampling2D": {"fit": _RESIZING},
}
_KERAS_3: dict[str, dict[str, str]] = {
    "GroupNormalization_masked": {"padding_content": _PADDING},
    "Dot_masked": {"padding_content": _PADDING},
    "GlobalMaxPooling1D": {"batch_sizes": _NO_SAMPLES},
    "GlobalMaxPooling2D": {"batch_sizes": _NO_SAMPLES},
    "GlobalMaxPooling3D": {"batch_sizes": _NO_SAMPLES},
    "Add": {"batch_sizes": _NO_SAMPLES},
    "Add_broadcast": {"batch_sizes": _NO_SAMPLES},
    "Average": {"batch_sizes": _NO_SAMPLES},
    "LSTMCell": {"batch_sizes": _NO_SAMPLES},
    "MultiHeadAttention": {"symbolic_shape": _SHAPES, "mask_shape": _SCORES},
    "GroupQueryAttention": {"symbolic_shape": _GROUPED},
    "GRUCell_dropout": {"leaked_tensors": _CELLS},
    "RNN_stacked": {"symbolic_shape": _SHAPES},
    "Normalization": {"leaked_tensors": _LEAKED},
    "Normalization_inverted": {"leaked_tensors": _LEAKED},
    "CategoryEncoding_sparse": {"eager_only": _SPARSE},
}
_KERAS_2: dict[str, dict[str, str]] = {
    "MultiHeadAttention": {"mask_shape": _SCORES},
    "Attention_masked": {"symbolic_shape": _ATTENTION},
    "GlobalAveragePooling1D_masked": {"fully_masked": _ALL_MASKED, "batch_sizes": _NO_MASKED},
}

FINDINGS = {**_BOTH, **(_KERAS_3 if _keras.GENERATION == 3 else _KERAS_2)}
