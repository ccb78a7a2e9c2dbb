"""A `LayerCase` for every built-in Keras layer that takes tensors, for the loaded generation."""

from tensorflow import keras

from tests.parity.builtin_cases import _core, _merging, _preprocessing, _recurrent, _spatial
from tfk_patterns.parity import LayerCase

CASES: list[LayerCase] = [
    *_core.CASES,
    *_spatial.CASES,
    *_merging.CASES,
    *_recurrent.CASES,
    *_preprocessing.CASES,
]

_REASONS = {
    "AbstractRNNCell": "abstract base of cells of one's own",
    "FlaxLayer": "needs JAX and Flax, and their backend",
    "InputLayer": "takes no tensor; it is in the functional models",
    "JaxLayer": "needs JAX, and its backend",
    "Layer": "abstract base",
    "TFSMLayer": "needs a SavedModel on disk",
    "TorchModuleWrapper": "needs PyTorch, and its backend",
    "Wrapper": "abstract base of layers that hold a layer",
}

LEFT_OUT: dict[str, str] = {
    name: reason for name, reason in _REASONS.items() if hasattr(keras.layers, name)
}
"""The classes in `keras.layers` without a case, and why."""

FAST: tuple[str, ...] = (
    "ActivityRegularization",
    "Attention_masked",
    "BatchNormalization_masked",
    "CategoryEncoding",
    "Concatenate_masked",
    "Conv2D",
    "Dense",
    "Dropout_masked",
    "Embedding_mask_zero",
    "GRUCell",
    "GlobalAveragePooling1D_masked",
    "Lambda",
    "MaxPooling2D",
    "RandomFlip",
    "StringLookup_ragged",
)
"""Cheap cases, no two of one kind."""
