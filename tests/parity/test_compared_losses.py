"""The check `losses` where a graph adds one loss for several, as eager islands do."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfk_patterns.layers import DynamicLayer
from tfk_patterns.parity import LayerCase, check_layer

VECTORS = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")


class Penalties(keras.layers.Layer):
    """Adds two losses in eager mode, and in a graph what a function makes of them."""

    def __init__(self, in_graphs, **kwargs):
        super().__init__(**kwargs)
        self.in_graphs = in_graphs

    def call(self, inputs):
        losses = [tf.reduce_mean(tf.square(inputs)), tf.reduce_mean(tf.abs(inputs))]
        for loss in losses if tf.executing_eagerly() else self.in_graphs(losses):
            self.add_loss(loss)
        return inputs


class IslandOfPenalties(DynamicLayer):
    """Adds a loss for each positive row."""

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def call(self, inputs):
        for row in inputs:
            if float(row[0]) > 0:
                self.add_loss(tf.reduce_sum(row))
        return inputs


def found(make):
    (result,) = check_layer(LayerCase(make, VECTORS), checks=["losses"], on_fail="report").results
    return result


def test_one_loss_of_an_island_is_the_sum_of_several():
    assert (VECTORS[:, 0] > 0).sum() > 1
    assert found(IslandOfPenalties).verdict == "passed"


@pytest.mark.parametrize(
    ("in_graphs", "verdict"),
    [
        (lambda losses: [tf.add_n(losses)], "passed"),
        (lambda losses: losses[:1], "failed"),
        (lambda losses: losses[::-1], "failed"),  # as many, and others
        (lambda losses: [*losses, losses[0]], "failed"),
        (lambda losses: [], "failed"),
    ],
    ids=["sum", "one_lost", "exchanged", "one_more", "none"],
)
def test_sums_are_compared_where_there_are_not_as_many(in_graphs, verdict):
    assert found(lambda: Penalties(in_graphs)).verdict == verdict
