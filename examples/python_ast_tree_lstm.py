"""Says which comparison stood in a piece of Python, from the syntax tree around it.

Run it with `python examples/python_ast_tree_lstm.py`; it writes into `examples/output/`.

The data are the comparisons in Python's standard library (no download), such as `x is None` and
`i < len(rows)`. The operator is taken out, and the model is to tell which of ten it was. It sees
the syntax tree up to ten steps around, hung up by the comparison: what the two sides are made of
below it, and the statement that it stands in above it, turned over. A node has a kind (`Call`), a
place in its parent (`args`), and where it is a name or a constant, a word, if that is common. A
`TreeLSTM` reads the tree from its ends up to the comparison.

Beside it are bags of nodes, which have the same embeddings and no tree: one of the nodes below the
comparison, one of all nodes, and the operator that is commonest. Training and test have no module
in common.

In training the `TreeLSTM` takes whole batches level by level, in the graph (`dynamic=False`). The
same layer with `dynamic=True` goes from node to node in Python; it gives the same answers, and the
example times both on the same trees.
"""

import ast
import collections
import os
import pathlib
import sysconfig
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # only errors from TensorFlow's C++ side
os.environ.setdefault("MPLBACKEND", "Agg")

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, track
from rich.table import Table
from tensorflow import keras

from tfk_patterns import layers

OUTPUT = pathlib.Path(__file__).parent / "output"
OPERATORS = {
    "Eq": "==",
    "NotEq": "!=",
    "Lt": "<",
    "LtE": "<=",
    "Gt": ">",
    "GtE": ">=",
    "In": "in",
    "NotIn": "not in",
    "Is": "is",
    "IsNot": "is not",
}
LEFT_OUT = ("test", "tests", "idlelib", "lib2to3", "turtledemo", "site-packages", "__pycache__")
STEPS_AROUND = 10
LARGEST_TREE = 120
FROM_ONE_MODULE = 40
MODULES = 450
WORDS = 400
EPOCHS = 7
BATCH_SIZE = 128
RATE = 5e-3
SEED = 1
TREE, ALL_NODES, BELOW = "TreeLSTM", "bag of all nodes", "bag of the nodes below"
COLUMNS = ("{task.description}", BarColumn(), MofNCompleteColumn(), "epochs", TimeElapsedColumn())

console = Console(width=None if Console().is_terminal else 100)


def sources():
    """Some files of the standard library, tests left out."""
    root = pathlib.Path(sysconfig.get_paths()["stdlib"])
    files = (path for path in sorted(root.rglob("*.py")) if not {*path.parts} & {*LEFT_OUT})
    files = list(files)
    chosen = np.random.default_rng(SEED).permutation(len(files))[:MODULES]
    return [files[place] for place in sorted(chosen)]


def comparisons(path):
    """The trees around the comparisons of a file: `(nodes, operator, code)` each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old strings with invalid escapes
        module = ast.parse(path.read_bytes())
    above = {}
    for parent in ast.walk(module):
        for field, value in ast.iter_fields(parent):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    above[child] = (parent, field)
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            nodes = neighbourhood(node, above)
            if len(nodes) <= LARGEST_TREE:
                found.append((nodes, type(node.ops[0]).__name__, node))
    order = np.random.default_rng(SEED).permutation(len(found))[:FROM_ONE_MODULE]
    return [found[place] for place in sorted(order)]


def neighbourhood(comparison, above):
    """The nodes around a comparison, each as `(kind, field, word, parent)`, nearest first.

    A node that lies above the comparison has the mark `^`, and hangs on the one below it.
    """
    nodes = [("Compare", "root", "", -1)]
    queue = collections.deque([(comparison, 0, 0, comparison, True)])
    while queue:
        node, place, distance, came_from, is_above = queue.popleft()
        if distance == STEPS_AROUND:
            continue
        for field, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if not isinstance(child, ast.AST | None) or child is came_from:
                    continue
                if isinstance(child, ast.cmpop | ast.expr_context) or child is None:
                    continue
                queue.append((child, len(nodes), distance + 1, node, False))
                nodes.append((type(child).__name__, field, word_of(child), place))
        if is_above and node in above and not isinstance(node, ast.stmt):
            parent, field = above[node]
            queue.append((parent, len(nodes), distance + 1, node, True))
            nodes.append((f"^{type(parent).__name__}", field, "", place))
    return nodes


def word_of(node):
    """The name or the constant that a node is, if any."""
    if isinstance(node, ast.Constant):
        small = node.value is None or isinstance(node.value, bool | int) or node.value == ""
        return repr(node.value) if small else type(node.value).__name__
    return getattr(node, "id", None) or getattr(node, "attr", "")


class Vocabulary:
    """Numbers for what occurs at least three times; 0 is padding, 1 anything else."""

    def __init__(self, things, most=None):
        counts = collections.Counter(things).most_common(most)
        self.numbers = {thing: n for n, (thing, count) in enumerate(counts, 2) if count >= 3}
        self.size = len(self.numbers) + 2

    def __getitem__(self, thing):
        return self.numbers.get(thing, 1)


def encode(samples, vocabularies):
    """Kinds, fields, words and parents, `(samples, nodes)` each, and the labels."""
    width = max(len(nodes) for nodes, _, _ in samples)
    arrays = np.zeros((4, len(samples), width), "int32")
    arrays[3] = -1
    for row, (nodes, _, _) in enumerate(samples):
        for column, (*told, parent) in enumerate(nodes):
            numbers = [v[thing] for v, thing in zip(vocabularies, told, strict=True)]
            arrays[:, row, column] = (*numbers, parent)
    labels = np.array([list(OPERATORS).index(operator) for _, operator, _ in samples])
    return dict(zip(("kinds", "fields", "words", "parents"), arrays, strict=True)), labels


def only_below(arrays, samples):
    """Without the nodes above the comparison, and what hangs on those."""
    arrays = {name: array.copy() for name, array in arrays.items()}
    for row, (nodes, _, _) in enumerate(samples):
        below = [True]
        for kind, _, _, parent in nodes[1:]:
            below.append(not kind.startswith("^") and below[parent])
        for array in arrays.values():
            array[row, : len(nodes)][~np.array(below)] = 0
    return arrays


def make_model(vocabularies, title, dynamic=False):
    """Embeddings of what a node is, and over them the Tree-LSTM or a bag of all nodes."""
    keras.utils.set_random_seed(SEED)
    inputs = {
        name: keras.Input((None,), dtype="int32", name=name)
        for name in ("kinds", "fields", "words", "parents")
    }
    embedded = [
        keras.layers.Embedding(vocabulary.size, 64, mask_zero=True, name=f"embedded_{name}")(
            inputs[name]
        )
        for name, vocabulary in zip(("kinds", "fields", "words"), vocabularies, strict=True)
    ]
    x = keras.layers.Add(name="nodes")(embedded)
    if title == TREE:
        x = layers.TreeLSTM(64, dynamic=dynamic, name="tree_lstm")([x, inputs["parents"]])
    else:
        x = layers.MaskedPooling1D("mean", name="bag")(x)
        x = layers.MLP([128, 64], name="mlp")(x)
    x = keras.layers.Dropout(0.3, name="dropout")(x)
    outputs = keras.layers.Dense(len(OPERATORS), name="operator")(x)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(RATE),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def train(model, data, test, title):
    """Trains a model, with a progress bar; returns the accuracy on the test after each epoch."""
    with Progress(*COLUMNS, console=console) as progress:
        task = progress.add_task(f"{title:<23}", total=EPOCHS)
        bar = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: progress.advance(task))
        fitted = model.fit(
            *data,
            batch_size=BATCH_SIZE,
            epochs=EPOCHS,
            validation_data=test,
            verbose=0,
            callbacks=[bar],
        )
    return fitted.history["val_accuracy"]


def both_ways(model, vocabularies, data):
    """Seconds of a training step of each kind on the same trees, and how far answers differ."""
    arrays, labels = data
    trees = {name: array[:16] for name, array in arrays.items()}
    slow = make_model(vocabularies, TREE, dynamic="island")
    slow.set_weights(model.get_weights())
    answers = [one.predict(trees, verbose=0) for one in (model, slow)]
    seconds = []
    for one in (model, slow):
        times = []
        for _ in range(4):  # the first traces
            start = time.perf_counter()
            one.train_on_batch(trees, labels[:16])
            times.append(time.perf_counter() - start)
        seconds.append(min(times[1:]))
    nodes = int(np.sum(trees["kinds"] > 0))
    return {
        "seconds": seconds,
        "nodes": nodes,
        "difference": float(np.abs(answers[0] - answers[1]).max()),
    }


def draw_tree(axes, nodes):
    """Draws a tree as it hangs from the comparison, one level below the other."""
    children = collections.defaultdict(list)
    for place, (*_, parent) in enumerate(nodes):
        children[parent].append(place)
    order, stack = [], [0]
    while stack:  # each node before those below it, from left to right
        order.append(stack.pop())
        stack.extend(reversed(children[order[-1]]))
    depth, across, free = {-1: -1}, {}, 0
    for place in order:
        depth[place] = depth[nodes[place][3]] + 1
    for place in reversed(order):  # a node stands over the middle of those below it
        if children[place]:
            across[place] = np.mean([across[child] for child in children[place]])
        else:
            across[place], free = free, free - 1
    for place in order:
        kind, _, word, parent = nodes[place]
        if parent >= 0:
            ends = ([across[parent], across[place]], [-depth[parent], -depth[place]])
            axes.plot(*ends, color="lightgrey", zorder=0)
        text, size, colour = (f"{kind}\n{word}".strip(), 8, "black") if place else ("?", 14, "red")
        axes.text(
            across[place],
            -depth[place],
            text,
            color="tab:blue" if kind.startswith("^") else colour,
            ha="center",
            va="center",
            fontsize=size,
            bbox={"color": "white", "pad": 1},
        )
    axes.margins(0.12)
    axes.axis("off")


def draw(curves, majority, sample, answer):
    """Draws the learning curves, and one tree with the likeliest operators."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, 5.5), layout="constrained", width_ratios=(2, 3)
    )
    epochs = np.arange(1, EPOCHS + 1)
    for title, curve in curves.items():
        left.plot(epochs, curve, marker="o", label=title)
    left.axhline(majority, color="grey", linestyle="--", label="the commonest operator")
    left.set(xlabel="epoch", ylabel="share of operators right, test", ylim=(0, None))
    left.legend()
    draw_tree(right, sample[0])
    likely = np.argsort(answer)[::-1][:3]
    said = ", ".join(f"{list(OPERATORS.values())[k]} ({answer[k]:.0%})" for k in likely)
    right.set_title(f"In the test: {ast.unparse(sample[2])}\nThe model says: {said}", fontsize=11)
    figure.savefig(OUTPUT / "python_ast_tree_lstm.png", dpi=110)
    plt.close(figure)


def load():
    """The comparisons of the modules to train on and of those to test on."""
    files = track(sources(), f"{'reading':<23}", console=console)
    modules = [found for found in map(comparisons, files) if found]
    in_test = np.random.default_rng(SEED).random(len(modules)) < 0.25
    split = [
        [
            sample
            for found, at in zip(modules, in_test, strict=True)
            if at == part
            for sample in found
        ]
        for part in (False, True)
    ]
    return *split, len(modules)


def main():
    """Runs all of it and returns the figures it prints."""
    start = time.perf_counter()
    OUTPUT.mkdir(exist_ok=True)
    to_train, to_test, modules = load()
    parts = ((0, None), (1, None), (2, WORDS))
    vocabularies = [
        Vocabulary([node[part] for nodes, _, _ in to_train for node in nodes], most)
        for part, most in parts
    ]
    data, test = encode(to_train, vocabularies), encode(to_test, vocabularies)
    commonest = np.bincount(data[1]).argmax()
    majority = float(np.mean(test[1] == commonest))
    sizes = [len(nodes) for nodes, _, _ in to_train]
    console.print(
        f"{len(to_train)} comparisons to train on and {len(to_test)} to test on, of {modules} "
        f"modules.\nTheir trees have {min(sizes)} to {max(sizes)} nodes, {np.median(sizes):.0f} in "
        f"the middle, {sum(sizes)} in all.\n"
    )

    curves, models = {}, {}
    for title in (TREE, ALL_NODES, BELOW):
        given = (data, test)
        if title == BELOW:
            given = (
                (only_below(data[0], to_train), data[1]),
                (only_below(test[0], to_test), test[1]),
            )
        models[title] = make_model(vocabularies, title)
        curves[title] = train(models[title], *given, title)
    ways = both_ways(models[TREE], vocabularies, test)

    console.print()
    table = Table(title=f"Ten operators, after {EPOCHS} epochs", title_justify="left")
    table.add_column("")
    table.add_column("right in the test", justify="right")
    for title, curve in curves.items():
        table.add_row(title, f"{curve[-1]:.3f}")
    table.add_row(f"always {list(OPERATORS.values())[commonest]}", f"{majority:.3f}")
    console.print(table, "")

    sizes = np.array([len(nodes) for nodes, _, _ in to_test])
    chosen = int(np.flatnonzero((sizes > 14) & (sizes < 22))[1])
    one = {name: array[chosen : chosen + 1] for name, array in test[0].items()}
    logits = models[TREE].predict(one, verbose=0)[0]
    draw(curves, majority, to_test[chosen], np.exp(logits) / np.exp(logits).sum())

    console.rule("Summary")
    console.print(
        f"Right in the test: {curves[TREE][-1]:.3f} with the trees, {curves[ALL_NODES][-1]:.3f} "
        f"with bags of the same nodes,\n{curves[BELOW][-1]:.3f} with bags of the nodes below, "
        f"{majority:.3f} for the commonest.\n"
        f"A training step on 16 trees of {ways['nodes']} nodes: {1000 * ways['seconds'][0]:.0f} ms "
        f"level by level, {1000 * ways['seconds'][1]:.0f} ms node by node;\nthe answers differ by "
        f"{ways['difference']:.1g} at most.\n"
        f"In {os.path.relpath(OUTPUT)}: python_ast_tree_lstm.png. "
        f"Took {time.perf_counter() - start:.0f} s."
    )
    accuracy = {title: curve[-1] for title, curve in curves.items()}
    return {"accuracy": accuracy, "majority": majority, "ways": ways, "modules": modules}


if __name__ == "__main__":
    main()
