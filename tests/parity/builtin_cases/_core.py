"""Core layers, activations, regularisation, normalisation, shapes, and models as layers."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.parity.builtin_cases._data import (
    HOLES,
    IDS,
    IMAGES,
    MASK,
    OTHER_VECTORS,
    RAGGED_IDS,
    STEPS,
    VECTORS,
    VOLUMES,
    cases,
    masked,
    normal,
)

L = keras.layers

_SPARSE = tf.sparse.from_dense(np.maximum(VECTORS, 0))
# Keras 2 takes no shorter mask in its GroupNormalization.
_ALL_AXES = np.repeat(HOLES[..., np.newaxis], 5, axis=2)
_PADDED_STEPS = np.where(MASK[..., np.newaxis], STEPS, np.float32(-1))

_CORE = {
    "Activation": (lambda: L.Activation("softplus"), VECTORS),
    "ActivityRegularization": (lambda: L.ActivityRegularization(l1=0.1, l2=0.2), VECTORS),
    "Dense": (lambda: L.Dense(3, activation="tanh", kernel_regularizer="l2"), VECTORS),
    "Dense_constrained": (lambda: L.Dense(3, use_bias=False, kernel_constraint="max_norm"), STEPS),
    "Dense_float64": (lambda: L.Dense(3, "relu", dtype="float64"), VECTORS.astype("float64")),
    "Dense_mixed_bfloat16": (lambda: L.Dense(3, "relu", dtype="mixed_bfloat16"), VECTORS),
    "Dense_sparse": (lambda: L.Dense(3, activation="tanh"), _SPARSE),
    "DenseFeatures": (lambda: L.DenseFeatures(_feature_columns()), {"price": VECTORS, "kind": IDS}),
    "EinsumDense": (
        lambda: L.EinsumDense("abc,cd->abd", (None, 4), activation="elu", bias_axes="d"),
        STEPS,
    ),
    "Embedding": (lambda: L.Embedding(7, 3, embeddings_regularizer="l2"), IDS),
    "Embedding_mask_zero": (lambda: L.Embedding(7, 3, mask_zero=True), IDS),
    "Embedding_ragged": (lambda: L.Embedding(7, 3), RAGGED_IDS),
    "Embedding_sparse": (lambda: L.Embedding(7, 3), tf.sparse.from_dense(IDS)),
    "Identity": (lambda: L.Identity(), VECTORS),
    "Identity_dict": (lambda: L.Identity(), {"price": VECTORS, "ids": IDS, "valid": MASK}),
    "Lambda": (
        lambda: L.Lambda(lambda x, by: tf.square(x) * by, arguments={"by": 3.0}),
        VECTORS,
    ),
    "Lambda_masked": (lambda: L.Lambda(tf.abs, mask=lambda x, mask: mask), STEPS, HOLES),
    "Masking": (lambda: L.Masking(mask_value=-1.0), _PADDED_STEPS),
    "Masking_masked": (lambda: L.Masking(mask_value=-1.0), _PADDED_STEPS, HOLES),
    "ReversibleEmbedding": (lambda: L.ReversibleEmbedding(7, 3, mask_zero=True), IDS),
    "ReversibleEmbedding_reverse": (
        lambda: L.ReversibleEmbedding(7, 5, tie_weights=False, logit_soft_cap=2.0),
        STEPS,
        None,
        {"reverse": True},
    ),
}

_ACTIVATIONS = {
    "ELU": (lambda: L.ELU(0.5), VECTORS),
    "LeakyReLU": (lambda: L.LeakyReLU(0.1), VECTORS),
    "PReLU": (lambda: L.PReLU("uniform", shared_axes=[1]), STEPS),
    "ReLU": (lambda: L.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2), VECTORS),
    "Softmax": (lambda: L.Softmax(axis=1), VECTORS),
    "Softmax_masked": (lambda: L.Softmax(), normal(6), MASK),
    "ThresholdedReLU": (lambda: L.ThresholdedReLU(theta=0.3), VECTORS),
}

_DROPOUT = {
    "AlphaDropout": (lambda: L.AlphaDropout(0.3, seed=1), VECTORS),
    "Dropout": (lambda: L.Dropout(0.4, noise_shape=(None, 1, 5), seed=1), STEPS),
    "GaussianDropout": (lambda: L.GaussianDropout(0.3, seed=1), VECTORS),
    "GaussianNoise": (lambda: L.GaussianNoise(0.5, seed=1), VECTORS),
    "SpatialDropout1D": (lambda: L.SpatialDropout1D(0.4, seed=1), STEPS),
    "SpatialDropout2D": (lambda: L.SpatialDropout2D(0.4, seed=1), IMAGES),
    "SpatialDropout3D": (lambda: L.SpatialDropout3D(0.4, seed=1), VOLUMES),
}

_NORMALISATION = {
    "BatchNormalization": (lambda: L.BatchNormalization(momentum=0.8, epsilon=0.01), VECTORS),
    "BatchNormalization_images": (lambda: L.BatchNormalization(axis=2, scale=False), IMAGES),
    "BatchNormalization_synchronized": (lambda: L.BatchNormalization(synchronized=True), VECTORS),
    "GroupNormalization": (lambda: L.GroupNormalization(groups=3, center=False), IMAGES),
    "LayerNormalization": (lambda: L.LayerNormalization(axis=[1, 2], epsilon=0.01), IMAGES),
    "RMSNormalization": (lambda: L.RMSNormalization(axis=[1, 2], epsilon=0.01), STEPS),
    "SpectralNormalization": (lambda: L.SpectralNormalization(L.Dense(3), 2), VECTORS),
    "SpectralNormalization_Conv2D": (lambda: L.SpectralNormalization(L.Conv2D(3, 2)), IMAGES),
    "UnitNormalization": (lambda: L.UnitNormalization(axis=1), STEPS),
}

_SHAPES = {
    "Cropping1D": (lambda: L.Cropping1D((1, 2)), STEPS),
    "Cropping2D": (lambda: L.Cropping2D(((1, 2), (0, 1))), IMAGES),
    "Cropping3D": (lambda: L.Cropping3D(((1, 2), (0, 1), (1, 1))), VOLUMES),
    "Flatten": (lambda: L.Flatten(data_format="channels_first"), IMAGES),
    "Permute": (lambda: L.Permute((3, 1, 2)), IMAGES),
    "RepeatVector": (lambda: L.RepeatVector(3), VECTORS),
    "Reshape": (lambda: L.Reshape((-1, 3)), IMAGES),
    "UpSampling1D": (lambda: L.UpSampling1D(3), STEPS),
    "UpSampling2D": (lambda: L.UpSampling2D((2, 3), interpolation="bilinear"), IMAGES),
    "UpSampling2D_nearest": (lambda: L.UpSampling2D((2, 3)), IMAGES),
    "UpSampling3D": (lambda: L.UpSampling3D((1, 2, 3)), VOLUMES),
    "ZeroPadding1D": (lambda: L.ZeroPadding1D((1, 2)), STEPS),
    "ZeroPadding2D": (lambda: L.ZeroPadding2D(((1, 2), (0, 1))), IMAGES),
    "ZeroPadding3D": (lambda: L.ZeroPadding3D(((1, 2), (0, 1), (1, 1))), VOLUMES),
}


def _feature_columns():
    kind = tf.feature_column.categorical_column_with_identity("kind", 7)
    return [
        tf.feature_column.numeric_column("price", shape=(5,)),
        tf.feature_column.embedding_column(kind, 3, combiner="sum"),
    ]


def _functional():
    """Two inputs through one shared layer, two outputs."""
    left, right = keras.Input((5,), name="left"), keras.Input((5,), name="right")
    shared = L.Dense(3, activation="tanh")
    both = L.Concatenate()([shared(left), shared(right)])
    outputs = {"both": L.BatchNormalization()(both), "logit": L.Dense(1)(both)}
    return keras.Model({"left": left, "right": right}, outputs)


def _functional_masked():
    steps = keras.Input((6, 5))
    return keras.Model(steps, L.GlobalAveragePooling1D()(L.LSTM(3, return_sequences=True)(steps)))


_MODELS = {
    "Model_functional": (_functional, {"left": VECTORS, "right": OTHER_VECTORS}),
    "Model_functional_masked": (_functional_masked, STEPS, MASK),
    "Sequential": (
        lambda: keras.Sequential([L.Dense(4, "relu"), L.BatchNormalization(), L.Dense(2)]),
        VECTORS,
    ),
    "Sequential_dropout": (lambda: keras.Sequential([L.Dense(4), L.Dropout(0.5, seed=1)]), VECTORS),
    "Sequential_masked": (
        lambda: keras.Sequential([L.Embedding(7, 4, mask_zero=True), L.GRU(3), L.Dense(2)]),
        IDS,
    ),
    "Sequential_nested": (
        lambda: keras.Sequential([keras.Sequential([L.Masking(-1.0), L.LSTM(3)]), L.Dense(2)]),
        _PADDED_STEPS,
    ),
}

_ALL = {**_CORE, **_ACTIVATIONS, **_DROPOUT, **_NORMALISATION, **_SHAPES, **_MODELS}
_MASKED = masked(
    _ALL,
    *("Activation", "ActivityRegularization", "Dense", "EinsumDense", "Identity"),
    *("ELU", "LeakyReLU", "PReLU", "ReLU", "ThresholdedReLU"),
    *("AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D"),
    *("BatchNormalization", "LayerNormalization", "RMSNormalization", "UnitNormalization"),
    *("SpectralNormalization", "Flatten"),
) | {"GroupNormalization_masked": (lambda: L.GroupNormalization(groups=5), STEPS, _ALL_AXES)}

CASES = cases(_ALL | _MASKED)
