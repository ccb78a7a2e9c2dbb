"""Cases of every public layer: default and other arguments, with and without masks."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.layers.dynamic_layers import Brief, Folded
from tfk_patterns import layers
from tfk_patterns.parity import LayerCase

_DRAWS = np.random.default_rng(0)
VECTORS = _DRAWS.normal(size=(6, 4)).astype("float32")
STEPS = _DRAWS.normal(size=(4, 5, 3)).astype("float32")
IMAGES = _DRAWS.normal(size=(2, 4, 3, 2)).astype("float32")
PROBABILITIES = _DRAWS.uniform(0.05, 0.6, size=(4, 5, 3)).astype("float32")
# Full, cut short, with a gap, and fully masked.
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 0, 1, 1], [0, 0, 0, 0, 0]], bool)
# Any order, two roots; a chain; gaps that are no node's parent; roots alone.
PARENTS = np.array([[3, 3, -1, -1, 0], [-1, 0, 1, 2, 3], [3, 4, 1, -1, 3], [-1, -1, -1, -1, -1]])


@keras.utils.register_keras_serializable("tests")
class MeanSquare(layers.BaseActivityRegularization):
    """A penalty of a user's own."""

    def penalty(self, inputs, mask):
        return self.mean_over_samples(tf.square(inputs), mask)


@keras.utils.register_keras_serializable("tests")
class Gate(layers.MetricTracking, keras.layers.Layer):
    """A layer of a user's own with metrics."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.declare_metric("open", "mean")
        self.declare_metric("widest", "max")
        self.declare_metric("narrowest", "min")
        self.declare_metric("spread", "std")
        self.declare_metric("total", "sum")
        self.declare_metric("norm", keras.metrics.RootMeanSquaredError())

    def call(self, inputs, mask=None):
        gate = tf.sigmoid(inputs)
        for name in ("open", "widest", "narrowest", "spread", "total"):
            self.update_metric(name, gate, mask=mask)
        self.update_metric("norm", inputs, tf.zeros_like(inputs), mask=mask)
        return inputs * gate


def _case(name, layer, inputs, mask=None, call=None, **arguments):
    return LayerCase(lambda: layer(**arguments), inputs, mask, call or {}, name=name)


_L1L2 = layers.L1L2ActivityRegularization
_SPARSITY = layers.SparsityActivityRegularization
_DECORRELATION = layers.DecorrelationActivityRegularization
_TEMPORAL = layers.TemporalActivityRegularization
_BLOCK = layers.BatchNormDropout
_POOLING = layers.MaskedPooling1D
_MONITOR = layers.ActivationMonitor
_ENDPOINT = layers.PredictionEndpoint
_STANDARDIZER = layers.RunningStandardizer
_MLP = layers.MLP
_ATTENTION = layers.MaskedAttentionPooling1D
_CONV = layers.MaskedConv1D
_SEQUENCE = layers.MaskedSequenceNormalization
_SAMPLING = layers.GaussianSampling
_TREE = layers.TreeLSTM
_TARGETS = np.eye(4, dtype="float32")[[0, 1, 3, 2, 1, 0]]

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
    _case("gate", Gate, VECTORS),
    _case("gate_masked_float16", Gate, STEPS, MASK, dtype="mixed_float16"),
    _case("folded", Folded, STEPS),
    _case("folded_masked", Folded, STEPS, MASK, dynamic="island", scale=0.5),
    _case("brief", Brief, STEPS, dynamic="island", units=2),
    # The harness sees no random operation in an island, and would blame draws of other shapes.
    _case("brief_masked", Brief, STEPS, MASK, rate=0.0),
    _case("brief_float16", Brief, STEPS, MASK, rate=0.0, dynamic="island", dtype="mixed_float16"),
    _case("brief_default", Brief, STEPS),
    _case("brief_traced", Brief, STEPS, MASK, dynamic=False),
    _case("monitor", _MONITOR, np.maximum(VECTORS, 0)),
    _case("monitor_masked", _MONITOR, np.maximum(STEPS, 0), MASK, dtype="mixed_float16"),
    _case("endpoint", _ENDPOINT, VECTORS, loss="mse"),
    _case(
        "endpoint_targets",
        _ENDPOINT,
        VECTORS,
        call={"targets": _TARGETS, "sample_weight": np.arange(6, dtype="float32")},
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["categorical_accuracy", keras.metrics.MeanSquaredError(name="brier")],
    ),
    _case(
        "endpoint_masked",
        _ENDPOINT,
        STEPS,
        MASK,
        call={"targets": np.tanh(STEPS)},
        loss="mse",
        metrics=["mae"],
    ),
    _case("standardizer", _STANDARDIZER, VECTORS),
    _case("standardizer_masked", _STANDARDIZER, STEPS, MASK, momentum=0.9),
    _case("standardizer_images", _STANDARDIZER, IMAGES, axis=[-1]),
    _case("standardizer_mixed_float16", _STANDARDIZER, STEPS, axis=None, dtype="mixed_float16"),
    _case("mlp", _MLP, VECTORS, units=[5, 3]),
    _case("mlp_built", _MLP, STEPS, MASK, units=[3, 3, 2], input_dim=3, residual=True),
    _case(
        "mlp_all",
        _MLP,
        STEPS,
        MASK,
        units=[4, 4, 2],
        activation="tanh",
        final_activation="sigmoid",
        normalization="batch",
        dropout=0.3,
        residual=True,
        seed=2,
    ),
    _case(
        "mlp_layer_norm", _MLP, STEPS, units=[6, 2], normalization="layer", dtype="mixed_float16"
    ),
    _case("attention", _ATTENTION, STEPS, units=4),
    _case("attention_masked", _ATTENTION, STEPS, MASK, units=2),
    _case("attention_float16", _ATTENTION, STEPS, MASK, units=3, dtype="mixed_float16"),
    _case("conv", _CONV, STEPS, filters=2, kernel_size=3),
    _case(
        "conv_masked", _CONV, STEPS, MASK, filters=4, kernel_size=2, strides=2, activation="tanh"
    ),
    _case(
        "conv_causal",
        _CONV,
        STEPS,
        MASK,
        filters=2,
        kernel_size=2,
        padding="causal",
        dilation_rate=2,
        renormalize=True,
        use_bias=False,
    ),
    _case("conv_valid", _CONV, STEPS, MASK, filters=2, kernel_size=3, padding="valid"),
    _case("conv_float16", _CONV, STEPS, MASK, filters=2, kernel_size=3, dtype="mixed_float16"),
    _case("sequence", _SEQUENCE, STEPS),
    _case("sequence_masked", _SEQUENCE, STEPS, MASK, epsilon=0.1),
    _case("sampling", _SAMPLING, [VECTORS, VECTORS[::-1] / 2]),
    _case(
        "sampling_masked",
        _SAMPLING,
        [STEPS, STEPS[::-1] / 2],
        [MASK, MASK],
        kl_weight=0.5,
        free_bits=0.1,
        warmup_steps=3,
        seed=4,
    ),
    _case("tree_python", _TREE, [STEPS, PARENTS], units=2),
    _case("tree_python_masked", _TREE, [STEPS, PARENTS], [MASK, None], units=3, return_nodes=True),
    _case("tree_graph", _TREE, [STEPS, PARENTS], units=3, dynamic=False, return_nodes=True),
    _case("tree_graph_masked", _TREE, [STEPS, PARENTS], [MASK, None], units=2, dynamic=False),
    _case("tree_float16", _TREE, [STEPS, PARENTS], units=2, dynamic=False, dtype="mixed_float16"),
    _case("tree_island", _TREE, [STEPS, PARENTS], units=2, dynamic="island"),
]


def _quick():
    found = {}
    for case in CASES:
        found.setdefault((type(case.make()), case.mask is None), case)
    return list(found.values())


# Of each layer one case with a mask and one without; the others are for the slow tests.
QUICK = _quick()
REST = [case for case in CASES if case not in QUICK]
