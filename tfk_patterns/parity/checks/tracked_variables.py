"""Which variables Keras knows of, and when they are made."""

import collections

import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.data import batch_size, taken
from tfk_patterns.parity.errors import blamed, in_one_line
from tfk_patterns.parity.objects import object_graph
from tfk_patterns.parity.outcome import Failure

_UNTRACKED = (
    "It is not trained, saved or counted. Make it with `self.add_weight(...)`: Keras 3 does not "
    "track a tf.Variable, and no Keras sees into plain objects, sets and closures. Sublayers must "
    "be attributes of the layer, in lists or dicts at most."
)
_LATE = (
    "An optimizer, a file or a graph knows only the variables that exist after the first call. "
    "Make all of them in `__init__` or `build`, whatever the arguments and the batch size."
)
_TWICE = (
    "A weight that is listed twice is saved, counted and updated twice: `weights` and its kin are "
    "Keras' to collect, so do not override or extend them."
)


@define_check(
    follows=("outputs", "shared_state"),
    link="https://keras.io/guides/making_new_layers_and_models_via_subclassing/",
    fast=True,
)
def tracked_variables(subject):
    """Each variable that the layer uses is in its `variables` once; the first call makes the last.

    Used is what can be reached from the layer by attributes, containers and closures, and what a
    gradient tape sees. Metrics and optimizers are left out.

    Bug: Keras 3 does not know a `tf.Variable`, and no Keras looks into plain objects, sets and
    closures. A variable in there is not trained, not counted and not saved: the loss goes down by
    the other weights, and nothing is said (https://github.com/keras-team/keras/issues/16797).

    Broken::

        class Scale:
            def __init__(self, features):
                self.value = tf.Variable(tf.ones((features,)))


        class Scaled(keras.layers.Layer):
            def build(self, input_shape):
                self.scale = Scale(input_shape[-1])
                self.built = True

            def call(self, inputs):
                return inputs * self.scale.value


        case = LayerCase(Scaled, steps)

    Mended::

        class Scaled(keras.layers.Layer):
            def build(self, input_shape):
                self.scale = self.add_weight(
                    name="scale", shape=(input_shape[-1],), initializer="ones"
                )
                self.built = True

            def call(self, inputs):
                return inputs * self.scale


        case = LayerCase(Scaled, steps)
    """
    layer = subject.layer()
    _require_once(layer)
    before = _all_variables(layer)
    watched = {object_graph.key(variable): variable for variable in _watched(subject, layer)}
    for identity, variable in watched.items():
        before.setdefault(identity, object_graph.Found(variable.name, variable))
    tracked = _tracked(layer)
    tracked.update(_keys_of(_keras.recurrent_states(layer)))  # as Keras means them to be
    for identity, found in before.items():
        if identity not in tracked and (identity in watched or not found.by_global):
            raise Failure(
                f"{found.path} is a variable of shape {tuple(found.thing.shape)} that is not in "
                "`layer.variables`",
                where=found.path,
                hint=_UNTRACKED,
            )
    _require_tracked_generators(subject, layer)
    for where, call in _more_calls(subject, layer):
        call()
        now = _all_variables(layer).items()
        new = [found for identity, found in now if identity not in before]
        if new:
            raise Failure(
                f"a call {where} makes {new[0].path}, a new variable of shape "
                f"{tuple(new[0].thing.shape)}",
                where=f"eager, {where}",
                hint=_LATE,
            )


def _require_once(layer) -> None:
    for name in ("weights", "trainable_weights", "non_trainable_weights", "variables"):
        listed = getattr(layer, name)
        counts = collections.Counter(map(id, listed))
        for variable in listed:
            if counts[id(variable)] > 1:
                raise Failure(
                    f"{_keras.variable_name(variable)} is {counts[id(variable)]} times in "
                    f"`layer.{name}`",
                    where=f"layer.{name}",
                    hint=_TWICE,
                )


def _require_tracked_generators(subject, layer) -> None:
    """No Keras lists the variable of a `tf.random.Generator`; files of TensorFlow hold it."""
    generators = [
        found
        for found in object_graph.reachable(layer, "layer")
        if isinstance(found.thing, tf.random.Generator) and not found.by_global
    ]
    if not generators:
        return
    try:
        in_files = {id(thing) for thing in tf.train.TrackableView(layer).descendants()}
    except ValueError as error:  # `export` says more: TensorFlow writes no file of the layer
        subject.tally.left_out["whether files hold its generators"] = in_one_line(error, 120)
        return
    for found in generators:
        if id(found.thing) not in in_files:
            raise Failure(
                f"{found.path} is a tf.random.Generator that no checkpoint and no SavedModel of "
                "the layer holds",
                where=found.path,
                hint="It draws the same numbers again after loading: keep it as an attribute of "
                "the layer itself.",
            )


def _tracked(layer) -> dict[int, tf.Variable]:
    return _keys_of([layer])


def _keys_of(things) -> dict[int, tf.Variable]:
    variables = [v for thing in things for v in _keras.tensorflow_variables_of(thing)]
    return {object_graph.key(variable): variable for variable in variables}


def _all_variables(layer) -> dict[int, object_graph.Found]:
    found = object_graph.variables(layer, "layer")
    for identity, variable in _tracked(layer).items():
        found.setdefault(identity, object_graph.Found(variable.name, variable))
    return found


def _watched(subject, layer) -> tuple[tf.Variable, ...]:
    with blamed("the layer cannot be called", "eager, training=False", check="outputs"):
        with tf.GradientTape() as tape:
            subject.call(layer, training=False)
        return tape.watched_variables()


def _more_calls(subject, layer):
    def train():
        with blamed("the layer cannot be called", "eager, training=True", check="outputs"):
            subject.call(layer, training=True)

    def with_other_batch():
        places = list(range(batch_size(subject.data))) * 2
        try:
            subject.call(layer, data=taken(subject.data, places))
        except Exception:  # `batch_sizes` says more, and a call may hold tensors of one size
            reason = "the layer cannot be called on twice as many samples"
            subject.tally.left_out["variables after such a call"] = reason

    yield "with training=True", train
    if batch_size(subject.data):
        yield "on a batch twice as large", with_other_batch
