"""What `TreeLSTM` costs in the graph, beside the eager recursion and beside pytorch-tree-lstm.

Run it on an idle machine: `make bench-tree-lstm`, or `python benchmarks/tree_lstm.py [--json FILE]`
where the environment with PyTorch is there or not wanted. One step is forward and backward, to the
features and the weights; each side has one thread. What pytorch-tree-lstm needs prepared for it in
Python, the order of nodes and edges, is left out of its time; ours starts from the parents. The
eager recursion takes half a minute a step, so it gets 6 pairs instead of 21.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported
os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", OMP_NUM_THREADS="1")

import numpy as np
import tensorflow as tf
from pairs import Pairs, measure, row, seconds
from table import show
from torch_side import torch_step, why_not
from trees import batch_of_trees, chain

from tfk_patterns.layers import TreeLSTM

FEATURES, UNITS = 64, 128
SECONDS = 0.1  # one timing takes that long at least
TREES, NODES = (64, 256, 1000), (500, 1000, 2000, 4000)
WEIGHTS = ("kernel", "recurrent_kernel", "bias")


class Batch:
    """Trees with features, and steps of the layer on them."""

    def __init__(self, parents, mask):
        draws = np.random.default_rng(0)
        self.parents, self.mask = parents, mask
        self.features = draws.normal(size=(*mask.shape, FEATURES)).astype("float32")
        self.cotangent = draws.normal(size=(*mask.shape, UNITS)).astype("float32")
        self.nodes = int(mask.sum())

    def step(self, layer):
        """A function of nothing that returns states and gradients."""
        features, parents, mask, cotangent = map(
            tf.constant, (self.features, self.parents, self.mask, self.cotangent)
        )

        def run(features, parents, mask, cotangent):
            with tf.GradientTape() as tape:
                tape.watch(features)
                states = layer([features, parents], mask=mask)
                target = tf.reduce_sum(states * cotangent)
            return states, *tape.gradient(target, [features, *_variables(layer)])

        run = run if layer.dynamic else tf.function(run)
        return lambda: run(features, parents, mask, cotangent)

    def arrays(self, layer):
        """What PyTorch gets of it."""
        weights = dict(zip(WEIGHTS, layer.get_weights(), strict=True))
        own = ("parents", "mask", "features", "cotangent")
        return {**{name: getattr(self, name) for name in own}, **weights}


def _variables(layer):
    return [w if isinstance(w, tf.Variable) else w.value for w in layer.trainable_weights]


def layers_of_equal_weights():
    """The layer in the graph, and as eager Python."""
    tf.random.set_seed(0)
    graph, python = (TreeLSTM(UNITS, return_nodes=True, dynamic=way) for way in (False, True))
    for layer in (graph, python):
        layer.build([(None, None, FEATURES), (None, None)])
    python.set_weights(graph.get_weights())
    return graph, python


def beside_recursion(batch, pairs: int) -> Pairs:
    """Steps in the graph, and of the eager recursion."""
    graph, python = map(batch.step, layers_of_equal_weights())
    _require_equal(graph()[0], python()[0])
    found = Pairs([], [])
    for _ in range(pairs):
        found.ours.append(seconds(graph, 5))
        found.peer.append(seconds(python, 1))
    return found


def beside_torch(batch, pairs: int) -> Pairs:
    """Steps in the graph, and of pytorch-tree-lstm with the same weights on the same batch."""
    layer, _ = layers_of_equal_weights()
    step = batch.step(layer)
    with torch_step(**batch.arrays(layer)) as (peer, first):
        states, gradient, *_ = step()
        _require_equal(states[batch.mask], first["states"])
        _require_equal(gradient[batch.mask], first["gradient"])
        return measure(step, peer, pairs, SECONDS)


def growth(large, small, pairs: int) -> Pairs:
    """Time for each node of a large batch, and of a small one."""
    layer, _ = layers_of_equal_weights()
    found = measure(large.step(layer), small.step(layer), pairs, SECONDS)
    sizes = (large.nodes, small.nodes)
    return Pairs(*([t / n for t in times] for times, n in zip(found, sizes, strict=True)))


def _require_equal(ours, theirs):
    difference = float(np.max(np.abs(np.asarray(ours) - np.asarray(theirs))))
    if not difference < 1e-5:
        raise RuntimeError(f"the two sides differ by {difference}")


def measured(pairs: int, recursions: int) -> list[dict]:
    """The rows of the table."""
    forests = {count: Batch(*batch_of_trees(count)) for count in TREES}
    chains = {nodes: Batch(*chain(nodes)) for nodes in NODES}
    many, few = forests[1000], forests[64]
    rows = []
    if recursions:
        name = f"256 trees, {forests[256].nodes} nodes: graph / eager recursion"
        rows.append(row(name, beside_recursion(forests[256], recursions), 1 / 250))
    rows += [
        row("1000 trees / 64 trees, for each node", growth(many, few, pairs), 1.1),
        row("chain of 4000 / of 500, for each node", growth(chains[4000], chains[500], pairs), 1.1),
    ]
    if reason := why_not():
        print(f"The rows beside PyTorch are left out: {reason}.")
        return rows
    for count, batch in forests.items():
        name = f"{count} trees, {batch.nodes} nodes: ours / pytorch-tree-lstm"
        target = 0.3333 if count == 256 else 1.0
        rows.append(row(name, beside_torch(batch, pairs), target))
    for nodes, batch in chains.items():
        name = f"chain of {nodes}: ours / pytorch-tree-lstm"
        rows.append(row(name, beside_torch(batch, pairs), 1.0))
    return rows


def main() -> None:
    """Measures, prints a table, and writes it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where to write the table")
    parser.add_argument("--pairs", type=int, default=21, help="pairs of timings for each row")
    parser.add_argument("--recursions", type=int, default=6, help="pairs beside the recursion")
    options = parser.parse_args()
    rows = measured(options.pairs, options.recursions)
    show(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
