"""All that a training run has in variables, as arrays by name."""

import itertools
import re

import numpy as np
import tensorflow as tf

from tfk_patterns import _keras

_NUMBER = re.compile(r"_\d+(?=_|/|:|$)")  # that Keras gives to the second of a name


class TrainingState:
    """The variables of a compiled model: weights, random state, optimizers, metrics.

    What each replica has is kept by itself: replicas of one process may differ in it, and to read
    it as a whole would take all processes.

    Args:
        model: The model, built.
        graphs: Those of its steps, whose variables need not be the model's.
    """

    def __init__(self, model, graphs: list = ()):
        self._model = model
        self._graphs = graphs
        self._strategy = model.distribute_strategy

    def values(self) -> dict[str, np.ndarray]:
        """What the variables hold."""
        values = {name: variable.numpy() for name, variable in self._variables().items()}
        for index, part in enumerate(self._parts_with_more()):
            store = {}
            part.save_own_variables(store)
            for key, value in store.items():
                values[f"own/{index}/{key}"] = np.asarray(value)
        return values

    def check(self, values: dict[str, np.ndarray], where) -> None:
        """Raises a `ValueError` where values are of another model."""
        expected = [f"{n} {v.dtype.name} {tuple(v.shape)}" for n, v in self._variables().items()]
        received = [f"{n} {v.dtype.name} {v.shape}" for n, v in _of_variables(values).items()]
        if expected == received:
            return
        pairs = itertools.zip_longest(expected, received, fillvalue="nothing more")
        mine, theirs = next(pair for pair in pairs if pair[0] != pair[1])
        raise ValueError(
            f"`model` must be the one that the checkpoint {where} was written with, compiled "
            f"alike, on as many replicas. Received: a model with {len(expected)} variables, where "
            f"there were {len(received)}; the first to differ is {mine}; it was {theirs}"
        )

    def restore(self, values: dict[str, np.ndarray]) -> None:
        """Puts values back."""
        for name, variable in self._variables().items():
            variable.assign(values[name])
        for index, part in enumerate(self._parts_with_more()):
            prefix = f"own/{index}/"
            part.load_own_variables(
                {n.removeprefix(prefix): v for n, v in values.items() if n.startswith(prefix)}
            )

    def _variables(self) -> dict[str, tf.Variable]:
        """The variables on each replica of this process, by place and name."""
        model = self._model
        groups = [model.variables, _keras.generator_states(model)]
        groups += [metric.variables for metric in _keras.metrics_of(model)]
        groups += [_keras.optimizer_variables(one) for one in _keras.optimizers_of(model)]
        groups += [[_keras.step_counter(model, kind)] for kind in ("train", "test", "predict")]
        every = {id(v): v for group in groups for v in group if v is not None}
        found = {}
        for index, variable in enumerate(every.values()):
            # Without numbers, as other models may come before.
            name = _NUMBER.sub("", f"{index:05}/{_keras.variable_name(variable)}")
            variable = _keras.tensorflow_variable(variable)
            for replica, part in enumerate(self._strategy.experimental_local_results(variable)):
                found[f"{name}/{replica}"] = part
        known = {id(part.handle) for part in found.values()}
        for index, variable in enumerate(self._read_besides(known)):
            found[_NUMBER.sub("", f"more/{index:05}/{variable.name}")] = variable
        return found

    def _read_besides(self, handles: set) -> list[tf.Variable]:
        """The variables of the graph that are not those of some handles, as they were met."""
        variables = {}
        for graph in self._graphs:
            parts = map(self._strategy.experimental_local_results, graph.variables)
            found = {id(part.handle): part for part in itertools.chain(*parts)}  # in no order
            met = [id(tensor) for tensor, _ in graph.captures]
            variables.update({one: found[one] for one in met if one in found})
        return [variable for one, variable in variables.items() if one not in handles]

    def _parts_with_more(self) -> list:
        """The layers whose class saves more than variables that Keras sees."""
        return [
            part
            for part in _keras.sublayers(self._model)
            if _keras.defines(part, "save_own_variables")
            and not _keras.is_keras_own(type(part).save_own_variables)
        ]


def _of_variables(values: dict) -> dict:
    return {n: v for n, v in values.items() if not n.startswith(("own/", "callbacks/"))}
