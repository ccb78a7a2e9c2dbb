"""Every bad argument is refused where it is given, in eager and in symbolic use alike."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers.cases import MeanSquare
from tfk_patterns import layers

L1L2 = layers.L1L2ActivityRegularization
SPARSITY = layers.SparsityActivityRegularization
DECORRELATION = layers.DecorrelationActivityRegularization
TEMPORAL = layers.TemporalActivityRegularization
BLOCK = layers.BatchNormDropout
POOLING = layers.MaskedPooling1D


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
    ],
)
def test_constructor_arguments(layer, name, value, error, expected):
    with pytest.raises(error) as caught:
        layer(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"`{name}` must be {expected}")
    assert f"Received: {name}={value!r}" in message


def test_a_layer_class_is_no_activation():
    with pytest.raises(TypeError, match="pass None and put the layer after this one"):
        BLOCK(activation=keras.layers.ReLU)


@pytest.mark.parametrize("layer", [MeanSquare, TEMPORAL, BLOCK, POOLING])
def test_several_inputs_are_refused(layer):
    with pytest.raises(TypeError, match=r"`inputs` must be one tensor\. Received: tensors of"):
        layer()([tf.ones((2, 3, 4)), tf.ones((2, 3, 4))])


@pytest.mark.parametrize("layer", [TEMPORAL, POOLING])
def test_a_mask_of_samples_where_steps_are_masked(layer):
    with pytest.raises(ValueError, match=r"`mask` must have the sizes .* Received: mask of shape"):
        layer()(tf.ones((2, 3, 4)), mask=tf.ones(2, tf.bool))


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
    ],
)
def test_ranks(use, layer, shape, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
        use(layer(), shape)
    assert message in str(caught.value)
    assert "Received: inputs of shape" in str(caught.value)


@each_use
@pytest.mark.parametrize("layer", [POOLING, TEMPORAL, L1L2, SPARSITY, DECORRELATION, BLOCK])
def test_masks(use, layer):
    with pytest.raises(TypeError, match=r"`mask` must be boolean.*Received: mask of dtype float32"):
        use(layer(), (None, 4, 3), mask=np.ones((2, 4), "float32"))
    with pytest.raises(ValueError, match=r"`mask` must have the sizes.*Received: mask of shape"):
        use(layer(), (None, 4, 3), mask=np.ones((2, 4, 3), bool))
    with pytest.raises(ValueError, match=r"`mask` must have the sizes.*Received: mask of shape"):
        use(layer(), (None, 4, 3), mask=np.ones((2, 5), bool))


@pytest.mark.parametrize("layer", [BLOCK, DECORRELATION])
def test_unknown_features(layer):
    with pytest.raises(ValueError, match="`inputs` must have a known size along axis -1"):
        layer()(keras.Input((None, None)))


def test_another_rank_or_size_than_the_layer_was_built_with():
    layer = BLOCK()
    layer(np.zeros((2, 3), "float32"))
    with pytest.raises(ValueError, match="incompatible"):
        layer(np.zeros((2, 4), "float32"))
    pooling = POOLING()
    pooling(np.zeros((2, 4, 3), "float32"))
    with pytest.raises(ValueError, match="`inputs` must have rank 3"):
        pooling(np.zeros((2, 3), "float32"))
