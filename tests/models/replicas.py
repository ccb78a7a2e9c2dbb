"""The same training on one device and on two."""

import numpy as np
from tensorflow import keras

from tests.models import networks
from tests.models.networks import assert_close_weights, fit

ROUNDING = 2e-6  # sums over samples in another order, in float32
# Batches of 16, and 13 at the end: shares of 8 + 8 samples, and of 7 + 6.
X, Y, SAMPLE_WEIGHT = (
    np.concatenate([array, array[:5] * 1.5])
    for array in (networks.X, networks.Y, networks.SAMPLE_WEIGHT)
)
UNEVEN = {"x": X, "y": Y, "batch_size": 16, "epochs": 2}


def on_both(strategy, make):
    """A model on one device and one on two, from equal weights."""
    keras.utils.set_random_seed(0)
    one = make()
    keras.utils.set_random_seed(0)
    with strategy.scope():
        two = make()
    two.set_weights(one.get_weights())
    return one, two


def assert_equal_training(models, tolerance=ROUNDING, **arguments):
    """Both end at the same weights, and log the same."""
    ours, theirs = (fit(model, **{**UNEVEN, **arguments}) for model in models)
    assert_close_weights(*models, tolerance)
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        np.testing.assert_allclose(theirs[name], values, rtol=1e-5, err_msg=name)
