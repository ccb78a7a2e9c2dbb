"""What the harness finds in Keras' own layers: case to check to the heading in docs/findings.md."""

import tensorflow as tf

from tfk_patterns import _keras

# Both generations
_ADAPTED = "An adapted Normalization overflows in mixed_float16"
_FROZEN = "A frozen SpectralNormalization moves its kernel"
_ZEROS = "Normalising zeros under mixed_float16 gives NaN"
_ALL_MASKED = "GlobalAveragePooling1D gives NaN for a fully masked sample"
_PADDING = "Layers that say they support masking let padding in"
_SCORES = "MultiHeadAttention attaches a mask of another shape to its scores"
_CELLS = "RNN cells keep a dropout mask from one call to the next"
_RESIZING = "Bilinear resizing is wrong in XLA"
_EXPORTED = "Exported models augment images at inference"

# Keras 3
_NO_SAMPLES_3 = "Layers of Keras 3 that fail on an empty batch"
_SHAPES_3 = "Symbolic shapes of Keras 3 that are not those of the outputs"
_GROUPED = "GroupQueryAttention refuses symbolic inputs that it takes in eager mode"
_LEAKED = "Normalization of Keras 3 leaks a tensor when it is first called in a graph"
_SPARSE = "CategoryEncoding(sparse=True) of Keras 3 cannot be traced"
_STEPS = "TimeDistributed of Keras 3 mistakes the batch for the steps where their number is unknown"
_UNCROPPED = "RandomCrop of Keras 3 does not crop at inference"
_CIRCLE = "Equalization of Keras 3 cannot end a functional model"
_FLOATS = "Preprocessing layers of Keras 3 make floats of integers in a graph"
_MIXES = "CutMix and MixUp of Keras 3 fail under other dtype policies"
_CONTRAST = "The gradient of AutoContrast is NaN for an image of one colour"
_PYTHON_RANDOM = "AugMix of Keras 3 draws its layers by Python's `random`"
_SHEAR = "RandomShear of Keras 3 cannot be made from its own config"
_MEL = "MelSpectrogram of Keras 3 fails under float64"
_DTYPES = "Lookup layers of Keras 3 declare another dtype than they return"

# Keras 2
_NO_SAMPLES_2 = "Layers of Keras 2 that fail on an empty batch"
_SHAPES_2 = "`compute_output_shape` of Keras 2 that is not the shape of the outputs"
_TWO_AXES = "LayerNormalization of Keras 2 over two axes fails in a graph"
_ONE_SAMPLE = 'HashedCrossing(output_mode="one_hot") of Keras 2 drops the batch axis of one sample'
_FEATURES = "DenseFeatures of Keras 2 fails under mixed_float16"
_LOADED = "SpectralNormalization of Keras 2 cannot be loaded"
_UNTRACED = "SpectralNormalization of Keras 2.15 cannot be trained in a graph"

_SPECTRAL = (
    "SpectralNormalization",
    "SpectralNormalization_Conv2D",
    "SpectralNormalization_masked",
)
_AUGMENTING_2 = (
    *("Brightness", "Contrast", "Crop", "Flip", "Height", "Rotation", "Translation"),
    *("Width", "Zoom"),
)
# Not Crop, whose wrong shape hides it, and not Invert, which inverts none of the cases' images.
_AUGMENTING_3 = (
    *("Brightness", "ColorDegeneration", "ColorJitter", "Contrast", "ElasticTransform", "Erasing"),
    *("Flip", "GaussianBlur", "Grayscale", "Height", "Hue", "Perspective", "Posterization"),
    *("Rotation", "Saturation", "Sharpness", "Translation", "Width", "Zoom"),
)

_BOTH: dict[str, dict[str, str]] = {
    "UnitNormalization": {"low_precision": _ZEROS},
    "UnitNormalization_masked": {"padding_content": _PADDING, "low_precision": _ZEROS},
    "LayerNormalization_masked": {"padding_content": _PADDING},
    "Dot_masked": {"padding_content": _PADDING},
    "GlobalAveragePooling1D_masked": {"fully_masked": _ALL_MASKED},
    "Model_functional_masked": {"fully_masked": _ALL_MASKED},
    "Dot": {"low_precision": _ZEROS},
    "UpSampling2D": {"outputs": _RESIZING, "fit": _RESIZING},
}
_KERAS_3: dict[str, dict[str, str]] = {
    **{name: {"frozen_state": _FROZEN} for name in _SPECTRAL},
    "GroupNormalization_masked": {"padding_content": _PADDING},
    "GlobalMaxPooling1D": {"batch_sizes": _NO_SAMPLES_3},
    "GlobalMaxPooling2D": {"batch_sizes": _NO_SAMPLES_3},
    "GlobalMaxPooling3D": {"batch_sizes": _NO_SAMPLES_3},
    "Add": {"batch_sizes": _NO_SAMPLES_3},
    "Add_broadcast": {"batch_sizes": _NO_SAMPLES_3},
    "Average": {"batch_sizes": _NO_SAMPLES_3},
    "LSTMCell": {"batch_sizes": _NO_SAMPLES_3},
    "HashedCrossing": {"batch_sizes": _NO_SAMPLES_3},
    "HashedCrossing_one_hot": {"batch_sizes": _NO_SAMPLES_3},
    "MelSpectrogram": {"batch_sizes": _NO_SAMPLES_3, "dtype_policy": _MEL},
    "MultiHeadAttention": {"symbolic_shape": _SHAPES_3, "mask_shape": _SCORES},
    "GroupQueryAttention": {"symbolic_shape": _GROUPED},
    "GRUCell_dropout": {"leaked_tensors": _CELLS},
    "RNN_stacked": {"symbolic_shape": _SHAPES_3},
    "Bidirectional_backward_layer": {"symbolic_shape": _SHAPES_3},
    **{
        f"TimeDistributed{name}": {"unknown_dimensions": _STEPS}
        for name in ("", "_masked", "_normalised", "_recurrent")
    },
    "Normalization": {"leaked_tensors": _LEAKED},
    "Normalization_inverted": {"leaked_tensors": _LEAKED},
    "CategoryEncoding_sparse": {"eager_only": _SPARSE},
    "IntegerLookup_count": {"symbolic_shape": _DTYPES},
    "StringLookup_inverted": {"symbolic_shape": _DTYPES},
    "TextVectorization_ngrams": {"symbolic_shape": _DTYPES},
    "AutoContrast": {"batch_sizes": _NO_SAMPLES_3, "finite_values": _CONTRAST},
    "ContrastLimitedAdaptiveHistogramEqualization": {"batch_sizes": _NO_SAMPLES_3},
    "Equalization": {
        "batch_sizes": _NO_SAMPLES_3,
        "weights_file": _CIRCLE,
        "keras_file": _CIRCLE,
        "export": _CIRCLE,
    },
    "MaxNumBoundingBoxes": {"outputs": _FLOATS},
    **{f"Random{name}": {"export": _EXPORTED} for name in _AUGMENTING_3},
    "Pipeline": {"export": _EXPORTED},
    "Solarization": {"export": _EXPORTED},
    "CutMix": {"dtype_policy": _MIXES, "export": _EXPORTED},
    "MixUp": {"dtype_policy": _MIXES, "export": _EXPORTED},
    "RandAugment": {"finite_values": _CONTRAST, "export": _EXPORTED},
    "RandomCrop": {"symbolic_shape": _UNCROPPED},
    "RandomShear": {"config": _SHEAR, "export": _EXPORTED},
    "AugMix": {"frozen_randomness": _PYTHON_RANDOM, "batch_sizes": _NO_SAMPLES_3},
}
_KERAS_2: dict[str, dict[str, str]] = {
    "LayerNormalization_masked": {
        "padding_content": _PADDING,
        "unknown_dimensions": _TWO_AXES,
        "export": _TWO_AXES,
    },
    "MultiHeadAttention": {"mask_shape": _SCORES},
    "Normalization_adapted": {"dtype_policy": _ADAPTED},
    "Attention_masked": {"symbolic_shape": _SHAPES_2},
    "AdditiveAttention": {"symbolic_shape": _SHAPES_2},
    "Bidirectional_backward_layer": {"symbolic_shape": _SHAPES_2},
    "Discretization_one_hot": {"symbolic_shape": _SHAPES_2},
    "Hashing_salted": {"symbolic_shape": _SHAPES_2},
    "HashedCrossing": {"symbolic_shape": _SHAPES_2},
    "HashedCrossing_one_hot": {"batch_sizes": _ONE_SAMPLE},
    "DenseFeatures": {"symbolic_shape": _SHAPES_2, "dtype_policy": _FEATURES},
    "GRUCell_dropout": {"batch_sizes": _CELLS},
    "ConvLSTM2D_dropout": {"batch_sizes": _CELLS},
    "CategoryEncoding_sparse": {"batch_sizes": _NO_SAMPLES_2},
    "GlobalAveragePooling1D_masked": {
        "fully_masked": _ALL_MASKED,
        "batch_sizes": _NO_SAMPLES_2,
    },
    **{f"Random{name}": {"export": _EXPORTED} for name in _AUGMENTING_2},
}
_KERAS_2_15 = {name: {"eager_only": _UNTRACED} for name in _SPECTRAL}
_KERAS_2_21 = {name: {"frozen_state": _FROZEN, "keras_file": _LOADED} for name in _SPECTRAL}


def _of_this_version():
    if _keras.GENERATION == 3:
        return _KERAS_3
    return _KERAS_2 | (_KERAS_2_15 if tf.__version__.startswith("2.15.") else _KERAS_2_21)


FINDINGS = _BOTH | _of_this_version()
