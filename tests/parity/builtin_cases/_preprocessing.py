"""Preprocessing of numbers, categories, texts, sounds and images, and image augmentation."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.parity.builtin_cases._data import (
    IDS,
    PICTURES,
    RAGGED_IDS,
    STEPS,
    VECTORS,
    cases,
    integers,
    normal,
    pixels,
)

L = keras.layers

_COLOURS = ["red", "green", "blue", "pink"]
_WORDS = np.array(_COLOURS)[integers(0, 4, 3)]  # pink is in no vocabulary below
_TEXTS = np.array(["Red, green!", "blue", "a pink red red", "green and blue, and green"])
_RAGGED_WORDS = tf.ragged.constant([["red", "pink"], [], ["blue"], ["green", "red", "red"]])
_SPARSE_WORDS = tf.sparse.from_dense(_WORDS)
_SOUNDS = normal(90)


def _adapted():
    layer = L.Normalization()
    layer.adapt(VECTORS)
    return layer


_NUMBERS = {
    "Discretization": (lambda: L.Discretization([-0.5, 0.0, 0.8]), VECTORS),
    "Discretization_one_hot": (
        lambda: L.Discretization([-0.5, 0.0, 0.8], output_mode="one_hot"),
        normal(1),
    ),
    "Normalization": (
        lambda: L.Normalization(mean=[0, 1, 2, 3, 4], variance=[1, 2, 3, 4, 5]),
        STEPS,
    ),
    "Normalization_inverted": (
        lambda: L.Normalization(axis=None, mean=0.5, variance=2.0, invert=True),
        VECTORS,
    ),
    "Normalization_adapted": (_adapted, VECTORS),
    "Rescaling": (lambda: L.Rescaling(1 / 127.5, offset=-1.0), PICTURES),
    "Rescaling_bytes": (lambda: L.Rescaling(1 / 255), PICTURES.astype("uint8")),
    "MelSpectrogram": (
        lambda: L.MelSpectrogram(fft_length=32, sequence_stride=16, num_mel_bins=6, min_freq=100.0),
        _SOUNDS,
    ),
    "STFTSpectrogram": (
        lambda: L.STFTSpectrogram("magnitude", frame_length=16, frame_step=8, fft_length=32),
        normal(90, 2),
    ),
}

_CATEGORIES = {
    "CategoryEncoding": (lambda: L.CategoryEncoding(7, output_mode="multi_hot"), IDS),
    "CategoryEncoding_count": (
        lambda: L.CategoryEncoding(7, output_mode="count"),
        IDS,
        None,
        {"count_weights": normal(6)},
    ),
    "CategoryEncoding_ragged": (lambda: L.CategoryEncoding(7), RAGGED_IDS),
    "CategoryEncoding_sparse": (lambda: L.CategoryEncoding(7, sparse=True), IDS),
    "HashedCrossing": (lambda: L.HashedCrossing(9), [_WORDS[:, 0], IDS[:, 0]]),
    "HashedCrossing_one_hot": (
        lambda: L.HashedCrossing(9, output_mode="one_hot"),
        [_WORDS[:, 0], IDS[:, 0]],
    ),
    "Hashing": (lambda: L.Hashing(5, mask_value="red"), _WORDS),
    "Hashing_ragged": (lambda: L.Hashing(5), _RAGGED_WORDS),
    "Hashing_sparse": (lambda: L.Hashing(5), _SPARSE_WORDS),
    "Hashing_salted": (lambda: L.Hashing(5, salt=[3, 4], output_mode="multi_hot"), IDS),
    "IntegerLookup": (lambda: L.IntegerLookup(vocabulary=[5, 2, 3], mask_token=0), IDS),
    "IntegerLookup_count": (
        lambda: L.IntegerLookup(vocabulary=[5, 2, 3], num_oov_indices=2, output_mode="count"),
        IDS,
    ),
    "IntegerLookup_ragged": (lambda: L.IntegerLookup(vocabulary=[5, 2, 3]), RAGGED_IDS),
    "StringLookup": (lambda: L.StringLookup(vocabulary=_COLOURS[:3], num_oov_indices=2), _WORDS),
    "StringLookup_inverted": (
        lambda: L.StringLookup(vocabulary=_COLOURS[:3], invert=True),
        integers(0, 4, 3),
    ),
    "StringLookup_ragged": (lambda: L.StringLookup(vocabulary=_COLOURS[:3]), _RAGGED_WORDS),
    "StringLookup_sparse": (lambda: L.StringLookup(vocabulary=_COLOURS[:3]), _SPARSE_WORDS),
    "StringLookup_tf_idf": (
        lambda: L.StringLookup(
            vocabulary=_COLOURS[:3], output_mode="tf_idf", idf_weights=[0.3, 0.5, 0.9]
        ),
        _WORDS,
    ),
    "TextVectorization": (
        lambda: L.TextVectorization(vocabulary=_COLOURS[:3], output_sequence_length=5),
        _TEXTS,
    ),
    "TextVectorization_ragged": (
        lambda: L.TextVectorization(vocabulary=_COLOURS[:3], ragged=True),
        _TEXTS,
    ),
    "TextVectorization_ngrams": (
        lambda: L.TextVectorization(
            vocabulary=["red", "red red", "green"], ngrams=2, output_mode="count"
        ),
        _TEXTS,
    ),
}

_BOXES = np.sort(pixels(2, 2, 2) / 40, axis=2).reshape(4, 2, 4)  # [x1, y1, x2, y2] in the picture
_LABELLED = {
    "images": PICTURES,
    "labels": np.eye(4, dtype="float32"),
    "bounding_boxes": {"boxes": _BOXES, "labels": integers(0, 3, 2)},
}
_WITH_LABELS = {key: _LABELLED[key] for key in ("images", "labels")}

_IMAGES = {
    "AutoContrast": (lambda: L.AutoContrast(value_range=(0, 255)), PICTURES),
    "CenterCrop": (lambda: L.CenterCrop(5, 4), PICTURES),
    "ContrastLimitedAdaptiveHistogramEqualization": (
        lambda: L.ContrastLimitedAdaptiveHistogramEqualization(
            clip_limit=2.0, tile_grid_size=(3, 2)
        ),
        PICTURES,
    ),
    "Equalization": (lambda: L.Equalization(bins=32), PICTURES),
    "MaxNumBoundingBoxes": (
        lambda: L.MaxNumBoundingBoxes(3, bounding_box_format="xyxy"),
        _LABELLED,
    ),
    "Resizing": (lambda: L.Resizing(5, 4, interpolation="bicubic"), PICTURES),
    "Resizing_cropped": (
        lambda: L.Resizing(6, 4, interpolation="nearest", crop_to_aspect_ratio=True),
        PICTURES,
    ),
}

_AUGMENTATION = {
    "AugMix": (lambda: L.AugMix(num_chains=2, chain_depth=2, seed=1), PICTURES),
    "CutMix": (lambda: L.CutMix(factor=0.8, seed=1), _WITH_LABELS),
    "MixUp": (lambda: L.MixUp(alpha=0.4, seed=1), _WITH_LABELS),
    "Pipeline": (
        lambda: L.Pipeline([L.Rescaling(1 / 255), L.RandomFlip("horizontal", seed=1)]),
        PICTURES,
    ),
    "RandAugment": (lambda: L.RandAugment(num_ops=2, factor=0.4, seed=1), PICTURES),
    "RandomBrightness": (lambda: L.RandomBrightness((-0.3, 0.2), seed=1), PICTURES),
    "RandomColorDegeneration": (lambda: L.RandomColorDegeneration(0.6, seed=1), PICTURES),
    "RandomColorJitter": (
        lambda: L.RandomColorJitter(
            brightness_factor=0.2, contrast_factor=0.3, saturation_factor=(0.3, 0.6), hue_factor=0.1
        ),
        PICTURES,
    ),
    "RandomContrast": (lambda: L.RandomContrast((0.2, 0.4), seed=1), PICTURES),
    "RandomCrop": (lambda: L.RandomCrop(5, 4, seed=1), PICTURES),
    "RandomElasticTransform": (
        lambda: L.RandomElasticTransform(scale=0.6, interpolation="nearest", seed=1),
        PICTURES,
    ),
    "RandomErasing": (lambda: L.RandomErasing(scale=(0.1, 0.4), fill_value=9.0, seed=1), PICTURES),
    "RandomFlip": (lambda: L.RandomFlip("horizontal", seed=1), PICTURES),
    "RandomGaussianBlur": (lambda: L.RandomGaussianBlur(0.8, kernel_size=5, seed=1), PICTURES),
    "RandomGrayscale": (lambda: L.RandomGrayscale(factor=0.6, seed=1), PICTURES),
    "RandomHeight": (lambda: L.RandomHeight((0.2, 0.5), seed=1), PICTURES),
    "RandomHue": (lambda: L.RandomHue(0.4, seed=1), PICTURES),
    "RandomInvert": (lambda: L.RandomInvert(0.6, seed=1), PICTURES),
    "RandomPerspective": (lambda: L.RandomPerspective(scale=0.4, seed=1), PICTURES),
    "RandomPosterization": (lambda: L.RandomPosterization(5, seed=1), PICTURES),
    "RandomRotation": (lambda: L.RandomRotation(0.2, fill_mode="nearest", seed=1), PICTURES),
    "RandomSaturation": (lambda: L.RandomSaturation((0.3, 0.7), seed=1), PICTURES),
    "RandomSharpness": (lambda: L.RandomSharpness(0.6, seed=1), PICTURES),
    "RandomShear": (lambda: L.RandomShear(0.3, 0.2, fill_mode="constant", seed=1), PICTURES),
    "RandomTranslation": (
        lambda: L.RandomTranslation(0.2, (-0.1, 0.3), fill_mode="wrap", seed=1),
        PICTURES,
    ),
    "RandomWidth": (lambda: L.RandomWidth((0.2, 0.5), interpolation="nearest", seed=1), PICTURES),
    "RandomZoom": (
        lambda: L.RandomZoom((-0.3, 0.1), 0.2, interpolation="nearest", seed=1),
        PICTURES,
    ),
    "Solarization": (lambda: L.Solarization(0.3, threshold_factor=0.4, seed=1), PICTURES),
}

CASES = cases(_NUMBERS | _CATEGORIES | _IMAGES | _AUGMENTATION)
