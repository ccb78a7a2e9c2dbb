"""Convolution and pooling."""

from tensorflow import keras

from tests.parity.builtin_cases._data import (
    HOLES,
    IMAGES,
    MASK,
    RAGGED_STEPS,
    STEPS,
    VOLUMES,
    cases,
)

L = keras.layers

_CONVOLUTION = {
    "Conv1D": (lambda: L.Conv1D(4, 3, padding="causal", dilation_rate=2), STEPS),
    "Conv1D_masked": (lambda: L.Conv1D(4, 3, padding="same", activation="relu"), STEPS, MASK),
    "Conv1DTranspose": (lambda: L.Conv1DTranspose(4, 3, strides=2, padding="same"), STEPS),
    "Conv2D": (lambda: L.Conv2D(4, (3, 2), strides=(2, 1), activation="tanh"), IMAGES),
    "Conv2D_groups": (lambda: L.Conv2D(4, 3, groups=2, padding="same", use_bias=False), IMAGES),
    "Conv2DTranspose": (lambda: L.Conv2DTranspose(4, (3, 2), strides=(2, 1)), IMAGES),
    "Conv3D": (lambda: L.Conv3D(3, (2, 3, 2), strides=(1, 2, 1), activation="elu"), VOLUMES),
    "Conv3DTranspose": (lambda: L.Conv3DTranspose(3, (2, 1, 3), use_bias=False), VOLUMES),
    "DepthwiseConv1D": (lambda: L.DepthwiseConv1D(3, depth_multiplier=2), STEPS),
    "DepthwiseConv2D": (lambda: L.DepthwiseConv2D((3, 2), depth_multiplier=2), IMAGES),
    "LocallyConnected1D": (lambda: L.LocallyConnected1D(4, 3, activation="tanh"), STEPS),
    "LocallyConnected2D": (lambda: L.LocallyConnected2D(4, (3, 2), implementation=2), IMAGES),
    "SeparableConv1D": (lambda: L.SeparableConv1D(4, 3, depth_multiplier=2), STEPS),
    "SeparableConv2D": (lambda: L.SeparableConv2D(4, 3, padding="same", strides=2), IMAGES),
}

_POOLING = {
    "AdaptiveAveragePooling1D": (lambda: L.AdaptiveAveragePooling1D(4), STEPS),
    "AdaptiveAveragePooling2D": (lambda: L.AdaptiveAveragePooling2D((3, 2)), IMAGES),
    "AdaptiveAveragePooling3D": (lambda: L.AdaptiveAveragePooling3D((3, 2, 4)), VOLUMES),
    "AdaptiveMaxPooling1D": (lambda: L.AdaptiveMaxPooling1D(4), STEPS),
    "AdaptiveMaxPooling2D": (lambda: L.AdaptiveMaxPooling2D((3, 2)), IMAGES),
    "AdaptiveMaxPooling3D": (lambda: L.AdaptiveMaxPooling3D((3, 2, 4)), VOLUMES),
    "AveragePooling1D": (lambda: L.AveragePooling1D(3, strides=1, padding="same"), STEPS),
    "AveragePooling2D": (lambda: L.AveragePooling2D((3, 2), padding="same"), IMAGES),
    "AveragePooling3D": (lambda: L.AveragePooling3D((2, 3, 1), strides=1), VOLUMES),
    "GlobalAveragePooling1D": (lambda: L.GlobalAveragePooling1D(keepdims=True), STEPS),
    "GlobalAveragePooling1D_masked": (lambda: L.GlobalAveragePooling1D(), STEPS, HOLES),
    "GlobalAveragePooling1D_ragged": (lambda: L.GlobalAveragePooling1D(), RAGGED_STEPS),
    "GlobalAveragePooling2D": (lambda: L.GlobalAveragePooling2D(keepdims=True), IMAGES),
    "GlobalAveragePooling3D": (lambda: L.GlobalAveragePooling3D(), VOLUMES),
    "GlobalMaxPooling1D": (lambda: L.GlobalMaxPooling1D(keepdims=True), STEPS),
    "GlobalMaxPooling2D": (lambda: L.GlobalMaxPooling2D(keepdims=True), IMAGES),
    "GlobalMaxPooling3D": (lambda: L.GlobalMaxPooling3D(), VOLUMES),
    "MaxPooling1D": (lambda: L.MaxPooling1D(3, strides=1, padding="same"), STEPS),
    "MaxPooling2D": (lambda: L.MaxPooling2D((3, 2), padding="same"), IMAGES),
    "MaxPooling3D": (lambda: L.MaxPooling3D((2, 3, 1), strides=1), VOLUMES),
}

CASES = cases(_CONVOLUTION | _POOLING)
