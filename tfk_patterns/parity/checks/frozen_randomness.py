"""Random numbers that are drawn once and for all."""

import functools

from tfk_patterns.parity import modes, observation
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.objects.python_state import python_state
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.randomness import all_equal
from tfk_patterns.parity.reference import equal_circumstances

_HINT = (
    "Python, and NumPy with it, draws when the graph is traced, and its number is then a constant: "
    "draw with `keras.random` and a `SeedGenerator` (Keras 3), with `tf.random.normal`, or with "
    "stateless ops whose seed is in a weight that each call increments."
)
_HINT_CONSTANT = (
    "A stateless operation gives the same numbers for the same seed: use a `SeedGenerator` (Keras "
    "3), or keep the seed in a weight that each call increments."
)

_CALLS, _MOST_CALLS = 3, 100


@define_check(
    follows=("eager_only", "wrapped_call"),
    link="https://www.tensorflow.org/guide/random_numbers",
    fast=True,
)
def frozen_randomness(subject):
    """What is random in eager calls is random in the graph, and noise differs from call to call.

    Bug: NumPy and Python draw while the graph is traced, and never again. A block that should be
    dropped in every second step is dropped in all of them or in none, and each batch gets the same
    augmentation. Nothing is said (https://github.com/keras-team/keras/issues/21169).

    Broken::

        class DropPath(keras.layers.Layer):
            def call(self, inputs, training=None):
                if not training:
                    return inputs
                return 2.0 * inputs if np.random.uniform() < 0.5 else tf.zeros_like(inputs)


        case = LayerCase(DropPath, steps)

    Mended::

        class DropPath(keras.layers.Layer):
            def call(self, inputs, training=None):
                if not training:
                    return inputs
                kept = tf.random.uniform((tf.shape(inputs)[0], 1, 1)) < 0.5
                return tf.where(kept, 2.0 * inputs, 0.0)


        case = LayerCase(DropPath, steps)
    """
    found = False
    for training in (True, False):
        subject.observe("eager", training)
        subject.observe("graph", training)
        if subject.is_random(training):
            found = True
            _check_graph(subject, training)
    if not found:
        raise Skip("nothing is drawn at random")
    _check_constant_seeds(subject)


def _check_graph(subject, training):
    """Fails where the graph repeats what eager calls draw anew, by Python's doing.

    Each call starts from the reference state, so that draws from variables repeat too.
    """
    layer = subject.layer()
    with equal_circumstances():
        eager, drawn = _calls(subject, layer, "eager", training)
    if all_equal(eager):
        return
    other_layer = subject.layer()
    with equal_circumstances():
        graph, _ = _calls(subject, other_layer, "graph", training)
    draws = subject.random_ops(training)
    if not all_equal(graph) or draws.from_global or draws.from_generator:
        return
    if drawn:
        source = f"{' and '.join(drawn)} is drawn from in `call`"
    elif subject.why_not_repeated(training) and not _keeps_count(subject, training):
        source = "`call` draws where no seed reaches, as from a generator made in it"
    elif draws.constant_seeds and draws.constant_seeds != _seeds(subject, layer, training):
        source = "a seed is a Python number that changes from call to call"
    else:
        return
    raise Failure(
        f"{source}: calls on the same data differ in eager mode, and are the same in the graph",
        where=f"graph, training={training}",
        hint=_HINT,
    )


def _keeps_count(subject, training) -> bool:
    """Whether eager calls change what is kept in Python, perhaps for all instances together."""
    before, *after = (state.values for state in subject.observe("eager", training).python)
    return any(values != before for values in after)


def _check_constant_seeds(subject):
    """Fails where training has a random operation of its own that always draws the same."""
    seeds = subject.random_ops(True).constant_seeds - subject.random_ops(False).constant_seeds
    if not seeds:
        return
    layer = subject.layer()
    calls = [subject.call(layer, training=True) for _ in range(3)]
    trained = [[call.outputs, call.losses] for call in calls]
    inferred = subject.call(layer)
    if all_equal(trained) and not all_equal([trained[0], [inferred.outputs, inferred.losses]]):
        raise Failure(
            "the seed of a random operation is a constant: three calls in training draw the same",
            where="every mode, training=True",
            hint=_HINT_CONSTANT,
        )


def _calls(subject, layer, mode, training):
    """Calls on the same data, and the generators that all but the first have drawn from.

    There are more of them where Python draws and nothing comes of it: it may have taken a branch.
    """
    function = modes.run_in(mode, _call_of(subject, layer, training))
    results, states = [], []
    drawn: list[str] = []
    while len(results) < _CALLS or (drawn and all_equal(results) and len(results) < _MOST_CALLS):
        subject.reference.restore(layer)
        results.append(function(subject.data))
        states.append(python_state(layer).generators)
        drawn = [f"`{name}`" for name in states[-1] if states[-1][name] != states[0].get(name)]
    return results, drawn


def _seeds(subject, layer, training):
    """The seeds in a graph of a layer that has been called before."""
    function = modes.run_in("graph", _call_of(subject, layer, training))
    with equal_circumstances():
        return modes.random_ops(function, subject.data).constant_seeds


def _call_of(subject, layer, training):
    return functools.partial(_outputs_and_losses, layer, subject.case.fixed_kwargs, training)


def _outputs_and_losses(layer, fixed_kwargs, training, data):
    outputs = observation.call_layer(layer, data, fixed_kwargs, training)
    return outputs, list(layer.losses)
