"""What the checks of models advise."""

import pytest
from tensorflow import keras

from tests.parity.broken_models import X, Y, compiled
from tests.parity.right_models import Accumulating
from tfk_patterns.parity import ModelCase, check_model


class NeverForgets(keras.metrics.MeanAbsoluteError):
    def reset_state(self):
        pass

    reset_states = reset_state


def _stock():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    return compiled(model, metrics=[NeverForgets(name="mae")])


def test_who_has_no_train_step_is_not_sent_there():
    report = check_model(ModelCase(_stock, X, Y), checks=["compiled_metrics"], on_fail="report")
    (failure,) = report.failures
    assert "where the outputs of its steps give" in failure.message
    assert "reset_state" in failure.hint
    assert "compute_metrics" not in failure.hint


@pytest.mark.slow
def test_gradients_in_a_branch_have_a_hint_of_their_own():
    report = check_model(
        ModelCase(lambda: compiled(Accumulating()), X, Y), on_fail="report", checks=["replicas"]
    )
    (failure,) = report.failures
    assert "`tf.cond`" in failure.hint
    assert "global batch size" not in failure.hint
