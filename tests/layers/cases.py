"""Cases of every public layer: default and other arguments, with and without masks."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import layers
from tfk_patterns.parity import LayerCase

_DRAWS = np.random.default_rng(0)
VECTORS = _DRAWS.normal(size=(6, 4)).astype("float32")
STEPS = _DRAWS.normal(size=(4, 5, 3)).astype("float32")
IMAGES = _DRAWS.normal(size=(2, 4, 3, 2)).astype("float32")
PROBABILITIES = _DRAWS.uniform(0.05, 0.6, size=(4, 5, 3)).astype("float32")
# Full, cut short, with a gap, and fully masked.
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 0, 1, 1], [0, 0, 0, 0, 0]], bool)


@keras.utils.register_keras_serializable("tests")
class MeanSquare(layers.BaseActivityRegularization):
    """A penalty of a user's own."""

    def penalty(self, inputs, mask):
        return self.mean_over_samples(tf.square(inputs), mask)


def _case(name, layer, inputs, mask=None, **arguments):
    return LayerCase(lambda: layer(**arguments), inputs, mask, name=name)


_L1L2 = layers.L1L2ActivityRegularization
_SPARSITY = layers.SparsityActivityRegularization
_DECORRELATION = layers.DecorrelationActivityRegularization
_TEMPORAL = layers.TemporalActivityRegularization
_BLOCK = layers.BatchNormDropout
_POOLING = layers.MaskedPooling1D

CASES = [
    _case("base", MeanSquare, VECTORS),
    _case("base_warm_up", MeanSquare, STEPS, MASK, weight=0.3, warmup_steps=2),
    _case("l1l2", _L1L2, VECTORS),
    _case("l1l2_images", _L1L2, IMAGES, l1=0.1, l2=0.01),
    _case("l1l2_masked_warm_up", _L1L2, STEPS, MASK, l1=0.1, weight=2.0, warmup_steps=5),
    _case("l1l2_mixed_float16", _L1L2, STEPS, MASK, l1=0.1, l2=0.1, dtype="mixed_float16"),
    _case("sparsity", _SPARSITY, PROBABILITIES[:, 0]),
    _case("sparsity_masked", _SPARSITY, PROBABILITIES, MASK, target=0.2, weight=0.5),
    _case("sparsity_float64", _SPARSITY, PROBABILITIES, warmup_steps=3, dtype="float64"),
    _case("decorrelation", _DECORRELATION, VECTORS),
    _case("decorrelation_masked", _DECORRELATION, STEPS, MASK, weight=0.5, warmup_steps=2),
    _case("temporal", _TEMPORAL, STEPS),
    _case("temporal_masked", _TEMPORAL, STEPS, MASK, weight=2.0, warmup_steps=4),
    _case("temporal_bfloat16", _TEMPORAL, STEPS, MASK, dtype="mixed_bfloat16"),
    _case("block", _BLOCK, VECTORS),
    _case("block_no_dropout_masked", _BLOCK, STEPS, MASK, activation="tanh", rate=0.0),
    _case("block_images", _BLOCK, IMAGES, activation=None, rate=0.3, momentum=0.5, seed=3),
    LayerCase(
        lambda: _BLOCK(rate=0.2, monte_carlo=True, scale=False, seed=1),
        VECTORS,
        expected_failures={"random_inference": "Monte Carlo dropout is random in inference"},
        name="block_monte_carlo",
    ),
    _case(
        "block_mixed_float16",
        _BLOCK,
        STEPS,
        MASK,
        rate=0.0,
        center=False,
        epsilon=0.01,
        synchronized=True,
        dtype="mixed_float16",
    ),
    _case("pooling", _POOLING, STEPS),
    *(
        _case(f"pooling_{pooling}_masked", _POOLING, STEPS, MASK, pooling=pooling, keepdims=keep)
        for pooling, keep in (
            ("mean", False),
            ("max", True),
            ("min", False),
            ("sum", True),
            ("first", False),
            ("last", True),
        )
    ),
    _case("pooling_max", _POOLING, STEPS, pooling="max"),
    _case("pooling_bfloat16", _POOLING, STEPS, MASK, dtype="mixed_bfloat16"),
    _case("pooling_float64", _POOLING, STEPS, MASK, pooling="last", dtype="float64"),
]
