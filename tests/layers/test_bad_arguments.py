"""Every bad argument is refused where it is given, in eager and in symbolic use alike."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers.cases import MeanSquare
from tests.layers.dynamic_layers import Folded
from tfk_patterns import layers

L1L2 = layers.L1L2ActivityRegularization
SPARSITY = layers.SparsityActivityRegularization
DECORRELATION = layers.DecorrelationActivityRegularization
TEMPORAL = layers.TemporalActivityRegularization
BLOCK = layers.BatchNormDropout
POOLING = layers.MaskedPooling1D
ENDPOINT = layers.PredictionEndpoint
STANDARDIZER = layers.RunningStandardizer
MLP = layers.MLP
ATTENTION = layers.MaskedAttentionPooling1D
CONV = layers.MaskedConv1D
SEQUENCE = layers.MaskedSequenceNormalization
SAMPLING = layers.GaussianSampling
MONITOR = layers.ActivationMonitor
TREE = layers.TreeLSTM
# What a layer cannot be made without.
REQUIRED = {
    ENDPOINT: {"loss": "mse"},
    MLP: {"units": [2]},
    ATTENTION: {"units": 2},
    CONV: {"filters": 2, "kernel_size": 3},
    TREE: {"units": 2},
}


def made(layer, **arguments):
    return layer(**{**REQUIRED.get(layer, {}), **arguments})


def bad(layer, name, value, error, expected):
    return pytest.param(layer, name, value, error, expected, id=f"{layer.__name__}-{name}={value}")


@pytest.mark.parametrize(
    ("layer", "name", "value", "error", "expected"),
    [
        *(
            parameter
            for layer in (MeanSquare, L1L2, SPARSITY, DECORRELATION, TEMPORAL)
            for parameter in (
                bad(layer, "weight", -1.0, ValueError, "at least 0"),
                bad(layer, "weight", "heavy", TypeError, "a number"),
                bad(layer, "weight", float("nan"), ValueError, "finite"),
                bad(layer, "warmup_steps", -1, ValueError, "at least 0"),
                bad(layer, "warmup_steps", 1.5, TypeError, "an integer"),
            )
        ),
        bad(L1L2, "l1", -0.1, ValueError, "at least 0"),
        bad(L1L2, "l2", -0.1, ValueError, "at least 0"),
        bad(L1L2, "l2", None, TypeError, "a number"),
        bad(SPARSITY, "target", 0.0, ValueError, "in (0, 1), both ends excluded"),
        bad(SPARSITY, "target", 1, ValueError, "in (0, 1), both ends excluded"),
        bad(BLOCK, "rate", 1.5, ValueError, "in [0, 1)"),
        bad(BLOCK, "rate", 1.0, ValueError, "in [0, 1)"),
        bad(BLOCK, "rate", "half", TypeError, "a number"),
        bad(BLOCK, "momentum", 1.1, ValueError, "in [0, 1]"),
        bad(BLOCK, "epsilon", 0.0, ValueError, "more than 0"),
        bad(BLOCK, "center", 1, TypeError, "True or False"),
        bad(BLOCK, "scale", "yes", TypeError, "True or False"),
        bad(BLOCK, "synchronized", None, TypeError, "True or False"),
        bad(BLOCK, "monte_carlo", 1, TypeError, "True or False"),
        bad(BLOCK, "seed", -1, ValueError, "at least 0"),
        bad(BLOCK, "seed", 0.5, TypeError, "an integer"),
        bad(BLOCK, "seed", 2**63, ValueError, "less than 2**63"),
        bad(BLOCK, "activation", {"class_name": "none"}, ValueError, "the name of a Keras activ"),
        bad(BLOCK, "activation", "rellu", ValueError, "the name of a Keras activation"),
        bad(BLOCK, "activation", 3, TypeError, "the name of a Keras activation"),
        bad(POOLING, "pooling", "median", ValueError, "one of 'mean', 'max', 'min', 'sum', 'fi"),
        bad(POOLING, "pooling", None, TypeError, "one of 'mean'"),
        bad(POOLING, "keepdims", "no", TypeError, "True or False"),
        bad(Folded, "dynamic", "eager", ValueError, "True, False or 'island'"),
        bad(Folded, "dynamic", None, ValueError, "True, False or 'island'"),
        bad(Folded, "dynamic", 1, ValueError, "True, False or 'island'"),
        bad(STANDARDIZER, "axis", "last", TypeError, "an integer, several integers, or None"),
        bad(STANDARDIZER, "axis", [], ValueError, "an integer, several integers, or None"),
        bad(STANDARDIZER, "axis", 1.0, TypeError, "an integer, several integers, or None"),
        bad(STANDARDIZER, "momentum", 1.0, ValueError, "in [0, 1)"),
        bad(STANDARDIZER, "momentum", "slow", TypeError, "a number"),
        bad(MLP, "units", 3, TypeError, "a list of one or more integers of at least 1"),
        bad(MLP, "units", [], ValueError, "a list of one or more integers of at least 1"),
        bad(MLP, "units", [4, 0], ValueError, "a list of one or more integers of at least 1"),
        bad(MLP, "activation", "rellu", ValueError, "the name of a Keras activation"),
        bad(MLP, "final_activation", 1, TypeError, "the name of a Keras activation"),
        bad(MLP, "input_dim", 0, ValueError, "at least 1"),
        bad(MLP, "input_dim", "four", TypeError, "an integer"),
        bad(MLP, "normalization", "group", ValueError, "None or one of 'batch', 'layer'"),
        bad(MLP, "dropout", 1.0, ValueError, "in [0, 1)"),
        bad(MLP, "residual", 1, TypeError, "True or False"),
        bad(MLP, "seed", -1, ValueError, "at least 0"),
        bad(ATTENTION, "units", 0, ValueError, "at least 1"),
        bad(ATTENTION, "units", 2.0, TypeError, "an integer"),
        bad(CONV, "filters", 0, ValueError, "at least 1"),
        bad(CONV, "kernel_size", (3,), TypeError, "an integer"),
        bad(CONV, "strides", 0, ValueError, "at least 1"),
        bad(CONV, "padding", "full", ValueError, "one of 'same', 'causal', 'valid'"),
        bad(CONV, "dilation_rate", -1, ValueError, "at least 1"),
        bad(CONV, "activation", "rellu", ValueError, "the name of a Keras activation"),
        bad(CONV, "use_bias", 1, TypeError, "True or False"),
        bad(CONV, "renormalize", "yes", TypeError, "True or False"),
        bad(CONV, "kernel_initializer", "glrot", ValueError, "a Keras initializer or the name"),
        bad(CONV, "bias_initializer", None, TypeError, "a Keras initializer or the name"),
        bad(CONV, "kernel_regularizer", "l3", ValueError, "a Keras regularizer, the name of one"),
        bad(CONV, "bias_regularizer", 0.1, TypeError, "a Keras regularizer, the name of one"),
        bad(SEQUENCE, "epsilon", 0.0, ValueError, "more than 0"),
        bad(SAMPLING, "kl_weight", -1.0, ValueError, "at least 0"),
        bad(SAMPLING, "free_bits", -0.1, ValueError, "at least 0"),
        bad(SAMPLING, "warmup_steps", 1.5, TypeError, "an integer"),
        bad(SAMPLING, "seed", 2**63, ValueError, "less than 2**63"),
        bad(TREE, "units", 0, ValueError, "at least 1"),
        bad(TREE, "units", 2.0, TypeError, "an integer"),
        bad(TREE, "return_nodes", 1, TypeError, "True or False"),
        bad(TREE, "dynamic", "eager", ValueError, "True, False or 'island'"),
        bad(ENDPOINT, "loss", None, TypeError, "the name of a Keras loss"),
        bad(ENDPOINT, "loss", "mean_sqared_error", ValueError, "the name of a Keras loss"),
        bad(ENDPOINT, "metrics", "mae", TypeError, "a list of metrics"),
    ],
)
def test_constructor_arguments(layer, name, value, error, expected):
    with pytest.raises(error) as caught:
        made(layer, **{name: value})
    message = str(caught.value)
    assert message.startswith(f"`{name}` must be {expected}")
    assert f"Received: {name}={value!r}" in message


def test_a_layer_class_is_no_activation():
    with pytest.raises(TypeError, match="pass None and put the layer after this one"):
        BLOCK(activation=keras.layers.ReLU)


@pytest.mark.parametrize(
    "layer",
    [MeanSquare, TEMPORAL, BLOCK, POOLING, STANDARDIZER, MLP, ATTENTION, CONV, SEQUENCE, MONITOR],
)
def test_several_inputs_are_refused(layer):
    with pytest.raises(TypeError, match=r"`inputs` must be one tensor\. Received: tensors of"):
        made(layer)([tf.ones((2, 3, 4)), tf.ones((2, 3, 4))])


@pytest.mark.parametrize("layer", [TEMPORAL, POOLING, ATTENTION, CONV, SEQUENCE])
def test_a_mask_of_samples_where_steps_are_masked(layer):
    with pytest.raises(ValueError, match=r"`mask` must have the sizes .* Received: mask of shape"):
        made(layer)(tf.ones((2, 3, 4)), mask=tf.ones(2, tf.bool))


def test_monte_carlo_is_fixed_for_the_life_of_a_layer():
    with pytest.raises(AttributeError, match="monte_carlo"):
        BLOCK().monte_carlo = True


def test_an_activation_layer_is_refused_with_the_remedy():
    with pytest.raises(TypeError, match=r"pass None and put the layer after this one\. Received"):
        BLOCK(activation=keras.layers.PReLU())


def eager(layer, shape, **kwargs):
    return layer(np.zeros([2 if size is None else size for size in shape], "float32"), **kwargs)


def symbolic(layer, shape, **kwargs):
    symbols = {
        name: keras.Input(value.shape[1:], dtype=value.dtype) for name, value in kwargs.items()
    }
    return layer(keras.Input(shape[1:]), **symbols)


def in_graph(layer, shape, **kwargs):
    sizes = [2 if size is None else size for size in shape]
    return tf.function(lambda: layer(tf.zeros(sizes), **kwargs))()


each_use = pytest.mark.parametrize("use", [eager, symbolic, in_graph])


@each_use
@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (POOLING, (None, 3), "`inputs` must have rank 3, (batch, steps, features). Received: "),
        (POOLING, (None, 2, 2, 3), "`inputs` must have rank 3, (batch, steps, features)"),
        (TEMPORAL, (None, 3), "`inputs` must have rank 3, (batch, steps, features). Received: "),
        (BLOCK, (None,), "`inputs` must have rank 2 or more, (batch, ..., features). Received: "),
        (L1L2, (None,), "`inputs` must have rank 2 or more"),
        (DECORRELATION, (None,), "`inputs` must have rank 2 or more"),
        (STANDARDIZER, (None,), "`inputs` must have rank 2 or more"),
        (MLP, (None,), "`inputs` must have rank 2 or more"),
        (MONITOR, (None,), "`inputs` must have rank 2 or more"),
        (ATTENTION, (None, 3), "`inputs` must have rank 3, (batch, steps, features)"),
        (CONV, (None, 3), "`inputs` must have rank 3, (batch, steps, features)"),
        (SEQUENCE, (None, 2, 2, 3), "`inputs` must have rank 3, (batch, steps, features)"),
    ],
)
def test_ranks(use, layer, shape, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
        use(made(layer), shape)
    assert message in str(caught.value)
    assert "Received: inputs of shape" in str(caught.value)


@each_use
@pytest.mark.parametrize(
    "layer",
    [
        *(POOLING, TEMPORAL, L1L2, SPARSITY, DECORRELATION, BLOCK),
        *(STANDARDIZER, MLP, ATTENTION, CONV, SEQUENCE, MONITOR),
    ],
)
def test_masks(use, layer):
    with pytest.raises(TypeError, match=r"`mask` must be boolean.*Received: mask of dtype float32"):
        use(made(layer), (None, 4, 3), mask=np.ones((2, 4), "float32"))
    with pytest.raises(ValueError, match=r"`mask` must have the sizes.*Received: mask of shape"):
        use(made(layer), (None, 4, 3), mask=np.ones((2, 4, 3), bool))
    with pytest.raises(ValueError, match=r"`mask` must have the sizes.*Received: mask of shape"):
        use(made(layer), (None, 4, 3), mask=np.ones((2, 5), bool))


@pytest.mark.parametrize("layer", [BLOCK, DECORRELATION, MLP, ATTENTION, CONV, MONITOR])
def test_unknown_features(layer):
    with pytest.raises(ValueError, match="`inputs` must have a known size along axis -1"):
        made(layer)(keras.Input((None, None)))


def test_unknown_features_of_trees():
    with pytest.raises(ValueError, match="`inputs` must have a known size along axis -1"):
        made(TREE)([keras.Input((None, None)), keras.Input((None,), dtype="int32")])


@pytest.mark.parametrize("axis", [0, -3, 3, [1, -2], [0, 2]])
def test_axes_that_cannot_keep_a_mean(axis):
    with pytest.raises(ValueError, match=r"`axis` must be different axes .* Received: axis="):
        STANDARDIZER(axis=axis)(np.zeros((2, 4, 3), "float32"))


def test_a_mask_on_an_axis_that_keeps_its_means():
    with pytest.raises(ValueError, match=r"`axis` must hold no axis of the mask.*axis=\(1, 2\)"):
        STANDARDIZER(axis=[1, 2])(np.zeros((2, 4, 3), "float32"), mask=np.ones((2, 4), bool))


def test_an_mlp_of_other_features_than_its_input_dim():
    with pytest.raises(ValueError, match="incompatible"):
        MLP([2], input_dim=4)(np.zeros((2, 3), "float32"))


@each_use
def test_a_sequence_shorter_than_a_valid_window(use):
    with pytest.raises(ValueError, match=r"`inputs` must have 4 steps or more.*Received: inputs"):
        use(CONV(2, 4, padding="valid"), (None, 3, 3))


@pytest.mark.parametrize(
    "inputs",
    [
        np.zeros((2, 3), "float32"),
        [np.zeros((2, 3), "float32")],
        [np.zeros((2, 3), "float32"), np.zeros((2, 4), "float32")],
        [np.zeros(2, "float32"), np.zeros(2, "float32")],
    ],
    ids=["one", "list_of_one", "other_shapes", "no_features"],
)
def test_what_is_no_mean_and_log_variance(inputs):
    with pytest.raises(ValueError, match=r"`inputs` must (be a list of two|have rank 2).*Received"):
        SAMPLING()(inputs)


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize(
    "inputs",
    [
        np.zeros((2, 3, 4), "float32"),
        [np.zeros((2, 3, 4), "float32")],
        [np.zeros((2, 3, 4), "float32"), np.zeros((2, 3, 1), "int32")],
        [np.zeros((2, 3, 4), "float32"), np.zeros((2, 4), "int32")],
        [np.zeros((2, 3), "float32"), np.zeros((2, 3), "int32")],
    ],
    ids=["one", "list_of_one", "parents_with_features", "other_nodes", "no_features"],
)
def test_what_is_no_features_and_parents(inputs, dynamic):
    with pytest.raises(ValueError, match=r"`inputs` must be a list of two tensors.*Received"):
        TREE(2, dynamic=dynamic)(inputs)


@pytest.mark.parametrize("dynamic", [True, False])
def test_parents_that_are_no_integers(dynamic):
    layer, features = TREE(2, dynamic=dynamic), np.zeros((2, 3, 4), "float32")
    message = "must hold integer parents, -1 at a root.*Received: parents of dtype"
    for parents in (np.zeros((2, 3), "float32"), np.zeros((2, 3), "uint8")):
        with pytest.raises(TypeError, match=message):
            layer([features, parents])
    inputs = [keras.Input((3, 4)), keras.Input((3,))]
    arrays = [features, np.full((2, 3), -1.0, "float32")]
    with pytest.raises(TypeError, match=message):  # with Keras 2's own `dynamic`, when it runs
        keras.Model(inputs, TREE(2, dynamic=dynamic)(inputs)).predict(arrays, verbose=0)


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("return_nodes", [True, False])
def test_masks_of_trees(dynamic, return_nodes):
    layer = TREE(2, return_nodes, dynamic)
    inputs = [np.zeros((2, 3, 4), "float32"), np.full((2, 3), -1)]
    with pytest.raises(TypeError, match=r"`mask` must be boolean.*Received: mask of dtype float32"):
        layer(inputs, mask=np.ones((2, 3), "float32"))
    with pytest.raises(ValueError, match=r"`mask` must have the sizes.*Received: mask of shape"):
        layer(inputs, mask=[np.ones((2, 4), bool), None])


def test_metrics_that_only_compile_can_resolve():
    with pytest.raises(ValueError, match=r"`metrics` must name a metric in full.*'accuracy'"):
        ENDPOINT("mse", ["accuracy"])
    with pytest.raises(ValueError, match="`metrics` must be names of Keras metrics"):
        ENDPOINT("mse", ["mean_abs"])
    with pytest.raises(ValueError, match="`metrics` must be metrics of different names"):
        ENDPOINT("mse", ["mae", "mae"])


def test_a_loss_with_another_reduction_or_of_no_position():
    with pytest.raises(ValueError, match="`loss` must have the default reduction"):
        ENDPOINT(keras.losses.MeanSquaredError(reduction="sum"))
    whole = ENDPOINT(lambda targets, predictions: tf.reduce_mean(targets - predictions))
    with pytest.raises(ValueError, match="`loss` must return a value for each position"):
        whole(np.zeros((2, 3), "float32"), np.zeros((2, 3), "float32"))


def test_another_rank_or_size_than_the_layer_was_built_with():
    layer = BLOCK()
    layer(np.zeros((2, 3), "float32"))
    with pytest.raises(ValueError, match="incompatible"):
        layer(np.zeros((2, 4), "float32"))
    pooling = POOLING()
    pooling(np.zeros((2, 4, 3), "float32"))
    with pytest.raises(ValueError, match="`inputs` must have rank 3"):
        pooling(np.zeros((2, 3), "float32"))


def test_more_nodes_than_parents_in_a_graph_of_unknown_sizes():
    layer = layers.TreeLSTM(2, dynamic=False)
    unknown = tf.TensorSpec([None, None, 4]), tf.TensorSpec([None, None], tf.int32)
    function = tf.function(lambda *inputs: layer(list(inputs)), input_signature=unknown)
    with pytest.raises(tf.errors.InvalidArgumentError, match="`inputs` must be a list of two"):
        function(tf.zeros((2, 4, 4)), -tf.ones((2, 3), tf.int32))


def test_a_dynamic_layer_must_say_its_shapes():
    class Silent(layers.DynamicLayer):
        def call(self, inputs):
            return inputs

    with pytest.raises(NotImplementedError, match="`Silent` must define `compute_output_shape`"):
        Silent()
