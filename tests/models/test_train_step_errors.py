"""What an override or `compile` got wrong is said in one sentence, with what was received."""

import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.models.train_step_cases import MODES, X, Y, linear
from tfk_patterns.models import TrainStepModel

RETURN = "`Wrong.compute_gradients` must return `(gradients, loss, predictions)`"


def raised(model, error, mode=MODES["eager"]):
    """What the first step raises."""
    model.compile("sgd", "mse", **mode)
    with pytest.raises(error) as caught:
        model.fit(X, Y, verbose=0)
    return str(caught.value)


def wrong(change):
    """A model whose `compute_gradients` returns what a function makes of the right parts."""

    class Wrong(TrainStepModel):
        def compute_gradients(self, x, y, sample_weight):
            return change(*super().compute_gradients(x, y, sample_weight))

    return linear(Wrong)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda g, loss, p: None, TypeError, f"{RETURN}. Received: a NoneType"),
        (lambda g, loss, p: (g, loss), TypeError, f"{RETURN}. Received: a tuple of 2"),
        (lambda g, loss, p: [g, loss, p], TypeError, f"{RETURN}. Received: a list of 3"),
        (lambda g, loss, p: {"loss": loss}, TypeError, f"{RETURN}. Received: a dict"),
        (
            lambda g, loss, p: (loss, g, p),
            TypeError,
            f"{RETURN}, with a list of gradients. Received: gradients of type .*Tensor",
        ),
        (
            lambda g, loss, p: (g, None, p),
            TypeError,
            f"{RETURN}. Received: loss=None",
        ),
        (
            lambda g, loss, p: (g, loss, None),
            TypeError,
            f"{RETURN}. Received: predictions=None",
        ),
        (
            lambda g, loss, p: (g, "0.3", p),
            TypeError,
            f"{RETURN}, with a loss of floats. Received: loss='0.3'",
        ),
        (
            lambda g, loss, p: (g, tf.constant(1), p),
            TypeError,
            f"{RETURN}, with a loss of floats. Received: loss=",
        ),
        (
            lambda g, loss, p: (g, p, p),
            ValueError,
            f"{RETURN}, with the mean loss over the samples, a scalar. Received: loss of shape "
            "(10, 2)",
        ),
        (
            lambda g, loss, p: (g[:1], loss, p),
            ValueError,
            "`Wrong.compute_gradients` must give one gradient for each of the 2 trainable weights, "
            "in their order, `None` where there is none. Received: 1 gradients",
        ),
        (
            lambda g, loss, p: (g[::-1], loss, p),
            ValueError,
            "`Wrong.compute_gradients` must give gradients of the shapes of the trainable weights. "
            "Received: a gradient of shape (2,) for dense",
        ),
    ],
    ids=[
        *("none", "two", "list", "dict", "order", "no_loss", "no_predictions", "string"),
        *("integer", "per_sample", "too_few", "shapes"),
    ],
)
def test_returns(change, error, message):
    pattern = re.escape(message).replace(re.escape(".*"), ".*")
    assert re.match(pattern, raised(wrong(change), error))


def test_in_the_graph():
    """Where Keras 2 puts the way there before it, and shapes may be unknown."""
    message = raised(wrong(lambda g, loss, p: (g, p, p)), ValueError, MODES["graph"])
    assert f"{RETURN}, with the mean loss over the samples, a scalar. Received: loss of" in message


@pytest.mark.parametrize("loss", [0.5, np.float32(0.5), 1])
def test_losses_that_are_numbers(loss):
    """A constant to look at, where gradients come from elsewhere."""
    model = wrong(lambda g, _, p: (g, loss, p))
    model.compile("sgd", "mse", run_eagerly=True)
    assert model.fit(X, Y, verbose=0).history["loss"] == [float(loss)]


def test_gradients_handed_to_apply_gradients():
    class Wrong(TrainStepModel):
        def apply_gradients(self, gradients):
            super().apply_gradients(gradients[1:])

    message = raised(linear(Wrong), ValueError)
    assert message.startswith("`Wrong.apply_gradients` must give one gradient for each of the 2 ")
    assert message.endswith("Received: 1 gradients")


@pytest.mark.parametrize("mode", [MODES["graph"], MODES["eager"]], ids=["graph", "eager"])
@pytest.mark.parametrize("method", ["fit", "train_on_batch", "evaluate"])
def test_no_loss(mode, method):
    model = linear()
    model.compile("sgd", **mode)
    with pytest.raises(ValueError, match=r"`loss` must be given to `compile`.*Received: loss=None"):
        getattr(model, method)(X, Y)


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_no_targets_for_the_loss(method):
    model = linear()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"`y` must be the targets.*Received: y=None"):
        getattr(model, method)(X)


def test_not_compiled():
    with pytest.raises((RuntimeError, ValueError), match="compile"):
        linear().fit(X, Y, verbose=0)


def test_an_override_may_do_without_a_compiled_loss():
    class Own(TrainStepModel):
        def compute_gradients(self, x, y, sample_weight):
            def loss():
                predictions = self(x, training=True)
                return tf.reduce_mean((predictions - y) ** 2), predictions

            return self.differentiate(loss)

    model = linear(Own)
    expected = np.mean((np.asarray(model(X), np.float64) - Y) ** 2)
    model.compile(keras.optimizers.SGD(0.1))
    np.testing.assert_allclose(model.fit(X, Y, verbose=0).history["loss"], [expected], rtol=1e-6)
