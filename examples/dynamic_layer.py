"""Reads the set of digits on a canvas, with SciPy's matching in the middle of the graph.

Run it with `python examples/dynamic_layer.py`; it writes into `examples/output/`.

The data are scikit-learn's bundled digits (1,797 scans of 8 x 8 pixels, no download). Each canvas
has three of them at random places; those of the test canvases are on no canvas of the training. The
answer is which digits are there, twice the same among them, in no order. The model has three slots,
each with a probability for every digit; but which slot is to answer for which digit? Three losses:

- In a fixed order, the digits of each canvas shuffled. Each slot learns to give all three digits
  alike. Read slot by slot that is of no use; but the probabilities say how often each digit is
  there, and read as counts they give the set after all.
- In a fixed order, the digits sorted. There is one right answer for each slot.
- Matched: `scipy.optimize.linear_sum_assignment` (the Hungarian algorithm) finds for each canvas
  the order that costs least, as in DETR (Carion et al. 2020, https://arxiv.org/abs/2005.12872).
  The slots share the digits out among themselves. Sorted digits do about as well here: which of
  the two is ahead differs from seed to seed.

SciPy cannot be in a graph. `MatchedLoss` is a `DynamicLayer`: `fit` compiles the model, and runs
that one layer eagerly in each step. The same training with `run_eagerly=True` is the proof. On
Keras 2 the layer is made with `dynamic="island"`, as `dynamic=True` is Keras' own there, and would
make `fit` run all of the model eagerly; on Keras 3 both are the same.
"""

import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # only errors from TensorFlow's C++ side
os.environ.setdefault("MPLBACKEND", "Agg")

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table
from scipy.optimize import linear_sum_assignment
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tensorflow import keras

from tfk_patterns import layers

OUTPUT = pathlib.Path(__file__).parent / "output"
HEIGHT, WIDTH = 16, 32
SLOTS = 3
CANVASES, TEST_CANVASES = 3000, 1000
EPOCHS = 10
EAGER_EPOCHS = 3  # of the training with run_eagerly, which is slow
BATCH_SIZE = 60
SEED = 1
SHUFFLED, SORTED, MATCHED = "fixed order, shuffled", "fixed order, sorted", "matched"
COLUMNS = ("{task.description}", BarColumn(), MofNCompleteColumn(), "epochs", TimeElapsedColumn())

console = Console(width=None if Console().is_terminal else 100)


class MatchedLoss(layers.DynamicLayer):
    """Each sample's cross-entropy under the matching of slots and digits that costs least.

    Takes `[logits, digits]`, `(batch, slots, classes)` and integers `(batch, slots)`, returns
    `(batch,)`, and adds the mean to the model's loss. The matching is a constant to the gradient.
    """

    def call(self, inputs):
        logits, digits = inputs
        labels = digits.numpy()
        # A slot's logits fall short of log-probabilities by one number, the same in any matching.
        gains = np.take_along_axis(logits.numpy(), labels[:, np.newaxis], axis=2)
        order = [linear_sum_assignment(gain, maximize=True)[1] for gain in gains]
        order = np.array(order, int).reshape(labels.shape)  # of an empty batch too
        answers = np.take_along_axis(labels, order, axis=1)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(answers, logits)
        losses = tf.reduce_mean(losses, axis=1)
        self.add_loss(tf.math.divide_no_nan(tf.reduce_sum(losses), len(losses)))
        return losses

    def compute_output_shape(self, input_shapes):
        return (input_shapes[0][0],)


def load():
    """Canvases and their digits, to train on and to test on, from separate scans."""
    digits = load_digits()
    train, test, train_labels, test_labels = train_test_split(
        digits.images.astype("float32") / 16,
        digits.target,
        test_size=0.2,
        stratify=digits.target,
        random_state=SEED,
    )
    random = np.random.default_rng(SEED)
    return (
        *make_canvases(train, train_labels, CANVASES, random),
        *make_canvases(test, test_labels, TEST_CANVASES, random),
    )


def make_canvases(images, labels, number, random):
    """Canvases with random images at random places that do not overlap."""
    canvases = np.zeros((number, HEIGHT, WIDTH, 1), "float32")
    chosen = random.integers(len(images), size=(number, SLOTS))
    for canvas, three in zip(canvases, chosen, strict=True):
        for image, (row, column) in zip(images[three], places(random), strict=True):
            canvas[row : row + 8, column : column + 8, 0] = image
    return canvases, labels[chosen].astype("int32")


def places(random):
    """The upper left corners of images that do not overlap."""
    while True:
        corners = random.integers((HEIGHT - 7, WIDTH - 7), size=(SLOTS, 2))
        apart = np.abs(corners[:, np.newaxis] - corners).max(axis=2)[np.triu_indices(SLOTS, 1)]
        if apart.min() >= 8:
            return corners


def make_model(kind):
    """A model of canvases and digits that has a loss, and one with its weights that reads."""
    keras.utils.set_random_seed(SEED)
    canvases = keras.Input((HEIGHT, WIDTH, 1), name="canvases")
    digits = keras.Input((SLOTS,), dtype="int32", name="digits")
    x = keras.layers.Conv2D(16, 3, activation="relu")(canvases)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Conv2D(64, 4, activation="relu")(x)
    x = keras.layers.MaxPooling2D(4)(x)
    x = keras.layers.Conv2D(64, 1, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(128, activation="relu")(x)
    x = keras.layers.Dense(SLOTS * 10)(x)
    logits = keras.layers.Reshape((SLOTS, 10), name="logits")(x)
    if kind == MATCHED:
        outputs = MatchedLoss(dynamic="island", name="matched_loss")([logits, digits])
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        outputs = layers.PredictionEndpoint(loss, name="loss")(logits, digits)
    return keras.Model([canvases, digits], outputs), keras.Model(canvases, logits)


class Clock(keras.callbacks.Callback):
    """Moves a progress bar on, and notes the seconds of each epoch."""

    def __init__(self, advance):
        super().__init__()
        self.advance = advance
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)
        self.advance()


def train(kind, canvases, digits, epochs=EPOCHS, run_eagerly=False):
    """A fresh model, trained: what reads, the loss of each epoch, and milliseconds a step."""
    model, reader = make_model(kind)
    model.compile(keras.optimizers.Adam(5e-3), run_eagerly=run_eagerly, jit_compile=False)
    title = f"{kind}, run_eagerly" if run_eagerly else kind
    with Progress(*COLUMNS, console=console) as progress:
        task = progress.add_task(f"{title:<21}", total=epochs)
        clock = Clock(lambda: progress.advance(task))
        history = model.fit(
            [canvases, digits],
            batch_size=BATCH_SIZE,
            epochs=epochs,
            verbose=0,
            callbacks=[clock],
        )
    steps = -(-len(canvases) // BATCH_SIZE)
    step = 1000 * float(np.median(clock.seconds[1:])) / steps  # the first one traces the graph
    return reader, history.history["loss"], step


def by_slot(probabilities):
    """The likeliest digit of each slot, sorted."""
    return np.sort(probabilities.argmax(axis=2), axis=1)


def by_count(probabilities):
    """The digits as often as the sum of all slots' probabilities says, sorted."""
    left = probabilities.sum(axis=1)
    found = np.zeros((len(left), SLOTS), int)
    for slot in range(SLOTS):
        found[:, slot] = left.argmax(axis=1)
        left[np.arange(len(left)), found[:, slot]] -= 1
    return np.sort(found, axis=1)


def share_right(answers, truths):
    """The share of canvases on which the whole set is right."""
    return float(np.mean(np.all(answers == np.sort(truths, axis=1), axis=1)))


def commonest_set(digits):
    """The set that is most frequent."""
    sets, counts = np.unique(np.sort(digits, axis=1), axis=0, return_counts=True)
    return sets[counts.argmax()]


def least_loss_shuffled(digits):
    """The entropy of a canvas' digits, the mean of all: least loss where the order is random."""
    shares = np.eye(10)[digits].mean(axis=1)
    return float(np.mean(-np.sum(shares * np.log(np.where(shares > 0, shares, 1)), axis=1)))


def draw(canvases, truths, answers, losses, least, use):
    """Draws canvases with the answers, the learning curves, and which slot answers for what."""
    figure = plt.figure(figsize=(13, 7.5), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.2))
    above.suptitle("Canvases of the test, and what the matched slots say")
    for axes, canvas, truth, answer in zip(
        above.subplots(2, 4).flat, canvases, np.sort(truths, axis=1), answers, strict=True
    ):
        right = np.array_equal(truth, answer)
        said = "  ".join(map(str, answer)) + (
            "" if right else f"   (is {'  '.join(map(str, truth))})"
        )
        axes.imshow(canvas[..., 0], cmap="gray_r")
        axes.set_title(said, color="C2" if right else "C3", fontsize="medium")
        axes.set(xticks=[], yticks=[])
    left, right = below.subplots(1, 2, width_ratios=(1.3, 1))
    epochs = range(1, EPOCHS + 1)
    for kind, style in ((SHUFFLED, "C1"), (SORTED, "C2"), (MATCHED, "C0")):
        wide = {"linewidth": 5, "alpha": 0.5} if kind == MATCHED else {}
        left.plot(epochs, losses[kind], style, label=kind, **wide)
    eager = losses["run_eagerly"]
    left.plot(epochs[: len(eager)], eager, "k--", label=f"{MATCHED}, run_eagerly")
    left.axhline(least, color="C1", linestyle=":", label="the least possible, shuffled")
    left.set(xlabel="epoch", ylabel="training loss per slot", ylim=0, title="Learning")
    left.legend(fontsize="small")
    image = right.imshow(use, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    right.set(xlabel="digit", ylabel="slot", title="Which matched slot answers for which digit")
    right.set(xticks=range(10), yticks=range(SLOTS), yticklabels=range(1, SLOTS + 1))
    below.colorbar(image, ax=right, label="share of the digit's answers")
    figure.savefig(OUTPUT / "dynamic_layer.png", dpi=120)
    plt.close(figure)


def main():
    """Runs all of it and returns the figures it prints."""
    start = time.perf_counter()
    OUTPUT.mkdir(exist_ok=True)
    # Without these two graph rewrites, floats are rounded in the graph just as they are eagerly.
    tf.config.optimizer.set_experimental_options(
        {"arithmetic_optimization": False, "constant_folding": False}
    )
    canvases, digits, test_canvases, truths = load()
    console.print(
        f"{len(canvases)} canvases of {HEIGHT} x {WIDTH} pixels to train on and "
        f"{len(test_canvases)} to test on, of separate scans,\neach with {SLOTS} digits.\n"
    )
    shuffled = np.random.default_rng(SEED).permuted(digits, axis=1)
    orders = {SHUFFLED: shuffled, SORTED: np.sort(digits, axis=1), MATCHED: digits}
    losses, steps, right, probabilities = {}, {}, {}, {}
    for kind, labels in orders.items():
        reader, losses[kind], steps[kind] = train(kind, canvases, labels)
        logits = reader.predict(test_canvases, batch_size=250, verbose=0)
        probabilities[kind] = tf.nn.softmax(logits).numpy()
        right[kind] = {
            "by slot": share_right(by_slot(probabilities[kind]), truths),
            "by count": share_right(by_count(probabilities[kind]), truths),
        }
    _, losses["run_eagerly"], steps["run_eagerly"] = train(
        MATCHED, canvases, digits, epochs=EAGER_EPOCHS, run_eagerly=True
    )
    graph = losses[MATCHED][:EAGER_EPOCHS]
    difference = float(np.max(np.abs(np.subtract(losses["run_eagerly"], graph))))
    most_frequent = share_right(commonest_set(digits), truths)
    least = least_loss_shuffled(digits)

    console.print()
    table = Table(title="Test canvases with the whole set right", title_justify="left")
    table.add_column("loss")
    for heading in ("read slot by slot", "read as counts", "ms a step of fit"):
        table.add_column(heading, justify="right")
    for kind, found in right.items():
        shares = (f"{share:.1%}" for share in found.values())
        table.add_row(kind, *shares, f"{steps[kind]:.0f}")
    table.add_row(f"{MATCHED}, run_eagerly", "", "", f"{steps['run_eagerly']:.0f}")
    table.add_row("the most frequent set, always", f"{most_frequent:.1%}", "", "")
    console.print(table, "")

    table = Table(title="Loss when matched, twice", title_justify="left")
    for heading in ("epoch", "graph", "run_eagerly"):
        table.add_column(heading, justify="right")
    for epoch, both in enumerate(zip(graph, losses["run_eagerly"], strict=True), 1):
        table.add_row(str(epoch), *(f"{loss:.7f}" for loss in both))
    console.print(table, "")

    answers = by_slot(probabilities[MATCHED])
    slots = probabilities[MATCHED].argmax(axis=2)
    counts = np.array([np.bincount(slot, minlength=10) for slot in slots.T])
    use = counts / np.maximum(counts.sum(axis=0), 1)
    draw(test_canvases[:8], truths[:8], answers[:8], losses, least, use)

    matched, by_order = right[MATCHED], right[SORTED]
    console.rule("Summary")
    console.print(
        f"Whole set right, slot by slot: {matched['by slot']:.1%} matched, "
        f"{by_order['by slot']:.1%} with sorted digits, "
        f"{right[SHUFFLED]['by slot']:.1%} with shuffled ones,\nwhose loss cannot go below "
        f"{least:.3f}. Read as counts: {matched['by count']:.1%}, {by_order['by count']:.1%} and "
        f"{right[SHUFFLED]['by count']:.1%}.\n"
        f"With SciPy in every step, the losses of graph and eager training differ by at most "
        f"{difference:g} in\n{EAGER_EPOCHS} epochs, with the two graph rewrites off that round "
        f"otherwise. A step took {steps[MATCHED]:.0f} ms in\nthe graph, "
        f"{steps['run_eagerly']:.0f} with run_eagerly, and {steps[SORTED]:.0f} in the graph where "
        f"nothing is matched.\n"
        f"In {os.path.relpath(OUTPUT)}: dynamic_layer.png. "
        f"Took {time.perf_counter() - start:.0f} s."
    )
    return {
        "right": right,
        "most_frequent": most_frequent,
        "losses": losses,
        "least": least,
        "difference": difference,
        "milliseconds": steps,
    }


if __name__ == "__main__":
    main()
