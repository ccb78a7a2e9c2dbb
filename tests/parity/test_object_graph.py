"""What can be reached from a layer."""

import functools
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity import LayerCase, check_layer
from tfk_patterns.parity.objects import object_graph

STEP = tf.Variable(0.0, trainable=False, name="global_step")


class Plain:
    __slots__ = ("inside",)

    def __init__(self, inside):
        self.inside = inside


class Holder(keras.layers.Layer):
    shared = types.SimpleNamespace(variable=tf.Variable(1.0, name="of_class"))

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        slope = tf.Variable(1.0, name="closure")
        self.things = {
            "list": [tf.Variable(1.0, name="list")],
            "plain": Plain(tf.Variable(1.0, name="slots")),
            "partial": functools.partial(print, tf.Variable(1.0, name="partial")),
            "function": lambda inputs: inputs * slope,
            "traced": tf.function(lambda inputs: inputs * slope),
        }

    def call(self, inputs):
        return inputs + STEP


def found_in(layer):
    return {
        found.thing.name.split(":")[0]: found
        for found in object_graph.variables(layer, "layer").values()
    }


def test_it_looks_into_containers_objects_functions_and_classes():
    found = found_in(Holder())
    expected = {"list", "slots", "partial", "closure", "of_class", "global_step"}
    assert expected == found.keys()
    assert found["list"].path == "layer.things['list'][0]"
    assert found["slots"].path == "layer.things['plain'].inside"
    assert [name for name, thing in found.items() if thing.by_global] == ["global_step"]


def test_it_does_not_leave_the_layer_by_the_nodes_of_a_functional_model():
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(2, name="before")(inputs)
    last = keras.layers.Dense(2, name="after")
    keras.Model(inputs, last(hidden))
    assert len(object_graph.variables(last, "layer")) == 2


def test_it_leaves_metrics_and_optimizers_out():
    layer = keras.layers.Dense(2)
    layer.extra = [keras.metrics.Mean(), keras.optimizers.SGD()]
    layer(tf.ones((1, 2)))
    assert len(object_graph.variables(layer, "layer")) == 2


def test_cycles_end():
    layer = Holder()
    layer.things["self"] = Plain(layer)
    assert found_in(layer).keys() == found_in(Holder()).keys()


@pytest.mark.parametrize("make", [Holder, functools.partial(Holder, name="holder")])
def test_a_class_that_makes_the_layer_is_not_looked_into(make):
    assert object_graph.variables(make, "make") == {}


class HeadsByNumber(keras.layers.Layer):
    """Keeps its layers in a dict that TensorFlow writes to no checkpoint: its keys are numbers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.heads = {1: keras.layers.Dense(3), 2: keras.layers.Dense(3)}

    def call(self, inputs):
        return self.heads[1](inputs) + self.heads[2](inputs)


class ShortenedList(keras.layers.Layer):
    """Edits a list of layers after it was assigned, which TensorFlow then writes no more."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [keras.layers.Dense(3), keras.layers.Dense(3)]
        del self.blocks[0]

    def call(self, inputs):
        return self.blocks[0](inputs)


class HeadsAndGenerator(HeadsByNumber):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.generator = tf.random.Generator.from_seed(1)


@pytest.mark.parametrize("layer", [HeadsByNumber, ShortenedList, HeadsAndGenerator])
def test_variables_in_what_tensorflow_cannot_write_are_tracked(layer):
    case = LayerCase(layer, np.ones((4, 3), "float32"))
    (result,) = check_layer(case, checks=["tracked_variables"]).results
    unwritten = _keras.GENERATION == 2 and layer is HeadsAndGenerator
    assert ("whether files hold its generators" in result.reason) == unwritten
