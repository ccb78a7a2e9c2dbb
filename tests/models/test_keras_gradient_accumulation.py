"""What Keras 3 has of its own, `gradient_accumulation_steps`, beside this library's model."""

import numpy as np
import pytest
from tensorflow import keras

from tests.models.networks import assert_close_weights, compiled, fit, functional, two_layers
from tests.models.replicas import UNEVEN
from tests.models.test_gradient_accumulation import ROUNDING, accumulating, plain
from tfk_patterns import _keras

pytestmark = pytest.mark.skipif(_keras.GENERATION == 2, reason="Keras 2 has no such argument")
RATES = keras.optimizers.schedules.PiecewiseConstantDecay([1, 3], [0.3, 0.1, 0.03])


def of_keras(make, **arguments):
    return compiled(
        functional(keras.Model, two_layers()), make(gradient_accumulation_steps=2, **arguments)
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda **own: keras.optimizers.SGD(0.1, momentum=0.9, **own),
        pytest.param(
            lambda **own: keras.optimizers.Adam(0.01, epsilon=1e-3, **own), marks=pytest.mark.slow
        ),
        pytest.param(
            lambda **own: keras.optimizers.SGD(0.1, global_clipnorm=0.1, **own),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["momentum", "adam", "global_clipnorm"],
)
def test_on_one_device_with_a_constant_rate_both_are_equal(make):
    ours, theirs = accumulating(make()), of_keras(make)
    for model in (ours, theirs):
        fit(model, batch_size=4, epochs=2)
    assert_close_weights(ours, theirs, ROUNDING)


def test_keras_feeds_a_schedule_with_batches():
    """Its rate falls twice as fast as it should."""
    ours, large = accumulating(keras.optimizers.SGD(RATES)), plain(keras.optimizers.SGD(RATES))
    theirs = of_keras(keras.optimizers.SGD, learning_rate=RATES)
    for model, size in ((ours, 4), (large, 8), (theirs, 4)):
        fit(model, batch_size=size, epochs=2)
    assert_close_weights(ours, large, ROUNDING)
    assert distance(theirs, large) > 1e-2


def test_keras_counts_uneven_batches_alike():
    """24 samples in batches of 16 and 8."""
    ours, large = accumulating(), plain()
    theirs = of_keras(keras.optimizers.SGD, learning_rate=0.1)
    for model, size in ((ours, 16), (large, 24), (theirs, 16)):
        fit(model, batch_size=size)
    assert_close_weights(ours, large, ROUNDING)
    assert distance(theirs, large) > 1e-3


def test_keras_does_not_apply_the_last_group():
    """Five batches in groups of two."""
    ours, theirs = accumulating(), of_keras(keras.optimizers.SGD, learning_rate=0.1)
    for model in (ours, theirs):
        fit(model, batch_size=5)
    assert distance(ours, theirs) > 1e-3


def test_keras_fails_on_two_replicas(two_replicas):
    with two_replicas.scope():
        theirs = of_keras(keras.optimizers.SGD, learning_rate=0.1)
    with pytest.raises(RuntimeError, match="merge_call"):
        fit(theirs, **UNEVEN)


def distance(model, other):
    return max(
        np.abs(a - b).max() for a, b in zip(model.get_weights(), other.get_weights(), strict=True)
    )
