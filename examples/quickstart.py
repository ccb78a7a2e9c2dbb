"""Reads handwritten digits row by row, some of them cut short, the same in the graph and eagerly.

Run it with `python examples/quickstart.py`; it writes into `examples/output/`.

The data are scikit-learn's bundled digits (1,797 scans of 8 x 8 pixels, no download). A digit is
a sequence of up to 8 rows. Half of the training set are copies that lack their last rows, which a
mask leaves out, and so the model learns to read whole digits and cut ones.
"""

import importlib.metadata
import itertools
import math
import os
import pathlib
import shutil
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # only errors from TensorFlow's C++ side
os.environ.setdefault("MPLBACKEND", "Agg")

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from tensorflow import keras

import tfk_patterns
from tfk_patterns import layers
from tfk_patterns.parity import LayerCase, check_layer

OUTPUT = pathlib.Path(__file__).parent / "output"
EPOCHS = 20
BATCH_SIZE = 256
MISSING = -1.0
SEED = 1

console = Console(width=None if Console().is_terminal else 100)


def load():
    """The digits, in training and test images, whole and cut, with their labels."""
    digits = load_digits()
    train, test, train_labels, test_labels = train_test_split(
        digits.images.astype("float32") / 16,
        digits.target,
        test_size=0.2,
        stratify=digits.target,
        random_state=SEED,
    )
    random = np.random.default_rng(SEED)
    train = np.concatenate([train, cut(train, random)])
    train_labels = np.concatenate([train_labels, train_labels])
    return train, train_labels, test, cut(test, random), test_labels


def cut(images, random):
    """Copies of the images of which the last one to four rows are missing."""
    rows_left = random.integers(4, 8, size=len(images))
    is_missing = np.arange(8) >= rows_left[:, np.newaxis]
    return np.where(is_missing[:, :, np.newaxis], np.float32(MISSING), images)


def steps(images):
    """One step a row, `(batch, 8, 64)`: it and the two rows above, in their place in the image."""
    window = np.zeros((len(images), 8, 8, 8), "float32")
    for row in range(8):
        above = max(0, row - 2)
        window[:, row, above : row + 1] = images[:, above : row + 1]
    window[images[:, :, 0] == MISSING] = MISSING
    return window.reshape(len(images), 8, 64)


def make_model():
    """A functional model in which the mask reaches every layer that needs it."""
    inputs = keras.Input((None, 64), name="rows")
    x = keras.layers.Masking(MISSING, name="masking")(inputs)
    x = keras.layers.Dense(256, name="features")(x)
    x = layers.BatchNormDropout("relu", rate=0.3, momentum=0.9, seed=1, name="block_of_rows")(x)
    x = layers.TemporalActivityRegularization(1e-3, name="smooth_rows")(x)
    x = layers.MaskedPooling1D("mean", name="mean_of_rows")(x)
    x = keras.layers.Dense(256, name="mixed")(x)
    x = layers.BatchNormDropout("relu", rate=0.5, momentum=0.9, seed=2, name="block")(x)
    x = layers.L1L2ActivityRegularization(l2=1e-4, warmup_steps=50, name="small")(x)
    outputs = keras.layers.Dense(10, activation="softmax", name="digit")(x)
    return keras.Model(inputs, outputs, name="digits")


class Bar(keras.callbacks.Callback):
    """One progress bar for all epochs."""

    def __init__(self, title):
        super().__init__()
        self.progress = Progress(
            TextColumn(title),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[loss]}"),
            console=console,
        )

    def on_train_begin(self, logs=None):
        self.progress.start()
        self.task = self.progress.add_task("", total=self.params["epochs"], loss="")

    def on_epoch_end(self, epoch, logs=None):
        self.progress.update(self.task, advance=1, loss=f"loss {logs['loss']:.3f}")

    def on_train_end(self, logs=None):
        self.progress.stop()


def train(rows, labels, run_eagerly):
    """Trains a fresh model; always the same initial weights, order of images and random draws."""
    keras.utils.set_random_seed(SEED)
    model = make_model()
    schedule = keras.optimizers.schedules.CosineDecay(
        0.2, decay_steps=EPOCHS * math.ceil(len(rows) / BATCH_SIZE)
    )
    model.compile(
        keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        run_eagerly=run_eagerly,
        jit_compile=False,  # XLA rounds otherwise
    )
    start = time.perf_counter()
    title = "run_eagerly" if run_eagerly else "graph      "
    history = model.fit(
        rows, labels, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0, callbacks=[Bar(title)]
    )
    return model, history.history, time.perf_counter() - start


def accuracies(model, images, rows, labels):
    """Accuracy of the model, and of logistic regression on the same pixels, in a table's rows."""
    pixels = {name: np.maximum(part, 0).reshape(len(part), 64) for name, part in images.items()}
    baseline = LogisticRegression(max_iter=5000).fit(pixels.pop("train"), labels["train"])
    for name in pixels:
        _, accuracy = model.evaluate(rows[name], labels[name], batch_size=512, verbose=0)
        yield name, accuracy, baseline.score(pixels[name], labels[name])


def reports(model, rows):
    """A parity report for each layer of this library, on what reaches it in this model."""
    mask = model.get_layer("masking").compute_mask(rows).numpy()
    for before, layer in itertools.pairwise(model.layers):
        if not type(layer).__module__.startswith("tfk_patterns"):
            continue
        received = keras.Model(model.input, before.output)(rows).numpy()
        yield check_layer(
            LayerCase(
                lambda layer=layer: type(layer).from_config(layer.get_config()),
                inputs=received,
                mask=mask if received.ndim == 3 else None,
                name=f"{layer.name}, a {type(layer).__name__}",
            ),
            on_fail="report",
        )


def show_histories(graph, eager, graph_seconds, eager_seconds):
    """Prints the two trainings side by side, draws them, and returns the largest difference."""
    table = Table(title="The same training twice", title_justify="left")
    for heading in ("epoch", "loss, graph", "loss, run_eagerly", "accuracy, graph", "run_eagerly"):
        table.add_column(heading, justify="right")
    for epoch in range(EPOCHS):
        if epoch % 4 == 3:
            cells = [h[key][epoch] for key in ("loss", "accuracy") for h in (graph, eager)]
            table.add_row(str(epoch + 1), *(f"{value:.7f}" for value in cells))
    table.add_row("seconds", f"{graph_seconds:.1f}", f"{eager_seconds:.1f}")
    console.print(table)
    largest = max(float(np.max(np.abs(np.subtract(graph[key], eager[key])))) for key in graph)
    console.print(f"Largest difference in any epoch: {largest:g}.\n")

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    epochs = range(1, EPOCHS + 1)
    axes.plot(epochs, graph["loss"], linewidth=5, alpha=0.4, label=f"graph, {graph_seconds:.0f} s")
    axes.plot(epochs, eager["loss"], "k--", label=f"run_eagerly, {eager_seconds:.0f} s")
    axes.set(xlabel="epoch", ylabel="training loss", title="The same training in two modes")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()
    figure.savefig(OUTPUT / "history.png", dpi=120)
    return largest


def draw(model):
    """Draws the model, or says in one line what is missing; returns the name of the file."""
    if not shutil.which("dot"):
        console.print("No model.png: get Graphviz (apt-get, dnf or brew install graphviz).\n")
        return None
    keras.utils.plot_model(
        model, OUTPUT / "model.png", show_shapes=True, show_layer_names=True, dpi=80
    )
    return "model.png"


def save_and_reload(model, rows):
    """Whether the model predicts the same after it was saved and loaded."""
    model.save(OUTPUT / "digits.keras")
    reloaded = keras.models.load_model(OUTPUT / "digits.keras")
    return np.array_equal(model.predict(rows, verbose=0), reloaded.predict(rows, verbose=0))


def main():
    """Runs all of it and returns the figures it prints."""
    start = time.perf_counter()
    OUTPUT.mkdir(exist_ok=True)
    # Without these two graph rewrites, floats are rounded in the graph just as they are eagerly.
    tf.config.optimizer.set_experimental_options(
        {"arithmetic_optimization": False, "constant_folding": False}
    )
    package = keras.Model.__module__.split(".")[0]  # keras or tf_keras
    console.print(
        f"tfk-patterns {tfk_patterns.__version__}, TensorFlow {tf.__version__}, "
        f"{package} {importlib.metadata.version(package)}\n"
    )

    whole_and_cut, train_labels, whole, cut_ones, test_labels = load()
    images = {"train": whole_and_cut, "whole images": whole, "cut images": cut_ones}
    labels = {"train": train_labels, "whole images": test_labels, "cut images": test_labels}
    rows = {name: steps(part) for name, part in images.items()}
    console.print(
        f"{len(whole_and_cut) // 2} images to train on, each whole and once cut short by one to "
        "four rows;\n"
        f"{len(whole)} others to test on: a random fifth, the same share of every digit."
    )

    model, graph, graph_seconds = train(rows["train"], labels["train"], run_eagerly=False)
    _, eager, eager_seconds = train(rows["train"], labels["train"], run_eagerly=True)
    console.print()
    largest = show_histories(graph, eager, graph_seconds, eager_seconds)

    table = Table(title="Accuracy on the test images", title_justify="left")
    for heading in ("", "this model", "logistic regression"):
        table.add_column(heading)
    accuracy, baseline = {}, {}
    for name, *both in accuracies(model, images, rows, labels):
        table.add_row(name, *(f"{value:.3f}" for value in both))
        accuracy[name], baseline[name] = both
    console.print(table, "")

    some_rows = np.concatenate([rows["whole images"][:4], rows["cut images"][:4]])
    found = []
    for report in reports(model, some_rows):
        console.print(report, "")
        found.append(report)

    equal = save_and_reload(model, rows["cut images"])
    files = [name for name in ("digits.keras", "history.png", draw(model)) if name]
    agree = sum(report.passed for report in found)
    console.rule("Summary")
    console.print(
        f"Test accuracy {accuracy['whole images']:.3f} on whole images, "
        f"{accuracy['cut images']:.3f} on cut ones.\n"
        f"Graph and eager training differ by at most {largest:g}, with the two graph rewrites off "
        f"that round\notherwise; the graph was {eager_seconds / graph_seconds:.1f} times as fast.\n"
        f"{agree} of {len(found)} layers do the same in eager mode, graph and XLA.\n"
        f"Saved and reloaded: predictions {'equal' if equal else 'DIFFER'}.\n"
        f"In {os.path.relpath(OUTPUT)}: {', '.join(files)}. "
        f"Took {time.perf_counter() - start:.0f} s."
    )
    return {
        "accuracy": accuracy,
        "baseline": baseline,
        "largest": largest,
        "reports": found,
        "reloaded_equal": equal,
    }


if __name__ == "__main__":
    figures = main()
    if not (all(figures["reports"]) and figures["reloaded_equal"]):
        raise SystemExit("The modes or the reloaded model differ: see above.")
