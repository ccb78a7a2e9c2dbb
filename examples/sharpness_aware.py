"""Learns digits of which a fifth are labelled wrongly, plainly and by sharpness-aware minimisation.

Run it with `python examples/sharpness_aware.py`; it writes into `examples/output/`.

The data are scikit-learn's bundled digits (1,797 scans of 8 x 8 pixels, no download): 997 to train
on, 200 to choose by, 600 to test on. A fifth of the 997 get another digit's label, drawn anew for
each seed. A network that is trained long enough learns those by heart, and gets worse for it.
`SharpnessAwareModel` uses the gradient at the worst weights near by, and hardly learns them.

That takes two passes a step. So the same network is also trained plainly for twice the epochs, and
both are given the best epoch by the 200, which would be the cheapest remedy. How near is near by,
`rho`, is chosen by the 200 too, with another seed than the five that are reported.
"""

import functools
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
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tensorflow import keras

from tfk_patterns import models

OUTPUT = pathlib.Path(__file__).parent / "output"
RHOS = (0.05, 0.1, 0.2, 0.5)
SEED_TO_CHOOSE_BY = 100
SEEDS = (0, 1, 2, 3, 4)
EPOCHS = 30
BATCH_SIZE = 64
PLAIN, LONGER, SHARP = "plain", "plain, longer", "sharpness-aware"
COLOURS = {PLAIN: "C1", LONGER: "0.35", SHARP: "C0"}
COLUMNS = ("{task.description}", BarColumn(), MofNCompleteColumn(), "epochs", TimeElapsedColumn())

console = Console(width=None if Console().is_terminal else 100)


def load():
    """Images and labels, `{"train": (images, labels), "validation": ..., "test": ...}`."""
    digits = load_digits()
    images, labels = digits.data.astype("float32") / 16, digits.target
    rest, test, rest_labels, test_labels = train_test_split(
        images, labels, test_size=600, stratify=labels, random_state=0
    )
    train, validation, train_labels, validation_labels = train_test_split(
        rest, rest_labels, test_size=200, stratify=rest_labels, random_state=0
    )
    return {
        "train": (train, train_labels),
        "validation": (validation, validation_labels),
        "test": (test, test_labels),
    }


def flip(labels, seed):
    """The labels, a fifth of them changed to another digit; and which are."""
    random = np.random.default_rng(seed)
    is_flipped = np.zeros(len(labels), bool)
    is_flipped[random.choice(len(labels), len(labels) // 5, replace=False)] = True
    others = (labels + random.integers(1, 10, size=len(labels))) % 10
    return np.where(is_flipped, others, labels), is_flipped


def make_layers():
    """The layers of the network."""
    return [
        keras.layers.Dense(256, activation="relu"),
        keras.layers.Dense(256, activation="relu"),
        keras.layers.Dense(10),
    ]


def make_model(rho, epochs, steps_per_epoch):
    """The network; sharpness-aware unless `rho` is `None`."""
    layers = [keras.Input((64,)), *make_layers()]
    model = keras.Sequential(layers) if rho is None else models.SharpnessAwareModel(layers, rho=rho)
    schedule = keras.optimizers.schedules.CosineDecay(0.1, epochs * steps_per_epoch)
    model.compile(
        keras.optimizers.SGD(schedule, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=steps_per_epoch,  # less to do between the steps
    )
    return model


class Watch(keras.callbacks.Callback):
    """After each epoch: how often the model is right, and repeats a wrong label it was given."""

    def __init__(self, data, labels, is_flipped, advance):
        super().__init__()
        self.parts = {
            "validation": data["validation"],
            "test": data["test"],
            "repeated": (data["train"][0][is_flipped], labels[is_flipped]),
        }
        self.images = np.concatenate([images for images, _ in self.parts.values()])
        self.labels = np.concatenate([labels for _, labels in self.parts.values()])
        self.ends = np.cumsum([len(labels) for _, labels in self.parts.values()])[:-1]
        self.found = {name: [] for name in self.parts}
        self.advance = advance

    def on_epoch_end(self, epoch, logs=None):
        logits = self.model(self.images, training=False).numpy()
        are_equal = logits.argmax(axis=1) == self.labels
        for name, part in zip(self.parts, np.split(are_equal, self.ends), strict=True):
            self.found[name].append(float(part.mean()))
        self.advance()


def start_anew(model, seed):
    """Gives a model new weights, and its optimizer a new start: faster than to compile again."""
    keras.utils.set_random_seed(seed)
    model.set_weights(keras.Sequential([keras.Input((64,)), *make_layers()]).get_weights())
    for variable in model.optimizer.variables:
        variable.assign(tf.zeros_like(variable))


def train(data, rho, epochs, seeds, advance):
    """Trains a model once a seed; returns what `Watch` saw, as `(seeds, epochs)`."""
    steps_per_epoch = -(-len(data["train"][1]) // BATCH_SIZE)
    model = make_model(rho, epochs, steps_per_epoch)
    found = []
    for seed in seeds:
        start_anew(model, seed)
        labels, is_flipped = flip(data["train"][1], seed)
        batches = tf.data.Dataset.from_tensor_slices((data["train"][0], labels))
        watch = Watch(data, labels, is_flipped, advance)
        model.fit(
            batches.shuffle(len(labels), seed=seed).batch(BATCH_SIZE).repeat(),
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            shuffle=False,  # the data set has done it
            verbose=0,
            callbacks=[watch],
        )
        found.append(watch.found)
    return {name: np.array([one[name] for one in found]) for name in found[0]}


def choose_rho(data, progress):
    """The `rho` that is best on the validation images, and the accuracy with each."""
    task = progress.add_task(f"{'choosing rho':<16}", total=len(RHOS) * EPOCHS)
    accuracies = {}
    for rho in RHOS:
        advance = functools.partial(progress.advance, task)
        run = train(data, rho, EPOCHS, [SEED_TO_CHOOSE_BY], advance)
        accuracies[rho] = float(run["validation"][0, -1])
    return max(accuracies, key=accuracies.get), accuracies


def compare(data, rho, progress):
    """Trains each way with each seed: `{way: {"test": (seeds, epochs), ...}}`."""
    found = {}
    for way in (PLAIN, LONGER, SHARP):
        epochs = 2 * EPOCHS if way == LONGER else EPOCHS
        task = progress.add_task(f"{way:<16}", total=epochs * len(SEEDS))
        advance = functools.partial(progress.advance, task)
        found[way] = train(data, rho if way == SHARP else None, epochs, SEEDS, advance)
        best = found[way]["validation"].argmax(axis=1)
        found[way]["at best"] = found[way]["test"][np.arange(len(SEEDS)), best]
    return found


def draw(found, rho):
    """Draws both curves of each way, with the range of the seeds."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    titles = {
        "test": "Test images read right",
        "repeated": "Wrong labels learnt by heart",
    }
    labels = {PLAIN: PLAIN, LONGER: LONGER, SHARP: f"{SHARP}, rho={rho:g}"}
    for one, (key, title) in zip(axes, titles.items(), strict=True):
        for way, colour in COLOURS.items():
            percents = 100 * found[way][key]
            epochs = np.arange(1, percents.shape[1] + 1)
            mean, deviation = percents.mean(axis=0), percents.std(axis=0, ddof=1)
            one.fill_between(
                epochs, mean - deviation, mean + deviation, color=colour, alpha=0.2, linewidth=0
            )
            one.plot(epochs, mean, color=colour, linewidth=2)
            end = (epochs[-1], mean[-1])
            one.plot(*end, "o", color=colour)
            one.annotate(
                labels[way],
                end,
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                color=colour,
                fontweight="bold",
            )
        one.set(xlabel="epoch", title=title, xlim=(1, 2.75 * EPOCHS))
        one.set_xticks(np.linspace(0, 2 * EPOCHS, 5))
        one.yaxis.set_major_locator(plt.MultipleLocator(5 if key == "test" else 20))
        one.yaxis.set_major_formatter("{x:g} %")
        one.spines[["top", "right"]].set_visible(False)
        one.grid(axis="y", alpha=0.3)
    axes[0].set_ylim(80, 100)
    figure.suptitle(
        f"A fifth of the training labels are wrong (mean and deviation of {len(SEEDS)} seeds)"
    )
    figure.savefig(OUTPUT / "sharpness_aware.png", dpi=120)
    plt.close(figure)


def percent(values):
    """Mean and spread, as text."""
    return f"{100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1):.1f} %"


def main():
    """Runs all of it and returns the figures it prints."""
    start = time.perf_counter()
    OUTPUT.mkdir(exist_ok=True)
    data = load()
    with Progress(*COLUMNS, console=console) as progress:
        rho, accuracies = choose_rho(data, progress)
        found = compare(data, rho, progress)

    console.print()
    table = Table(title="Accuracy on the validation images", title_justify="left")
    table.add_column("rho", justify="right")
    for value in accuracies:
        table.add_column(f"{value:g}", justify="right")
    table.add_row("", *(f"{100 * accuracy:.1f} %" for accuracy in accuracies.values()))
    console.print(table, f"Chosen: rho={rho:g}.\n")

    table = Table(
        title=f"Accuracy on the test images, mean and spread of {len(SEEDS)} seeds",
        title_justify="left",
    )
    table.add_column("training")
    headings = ("epochs", "passes", "at the end", "at its best", "wrong learnt")
    for heading in headings:
        table.add_column(heading, justify="right")
    for way, one in found.items():
        epochs = one["test"].shape[1]
        table.add_row(
            way,
            str(epochs),
            str(2 * epochs if way == SHARP else epochs),
            percent(one["test"][:, -1]),
            percent(one["at best"]),
            f"{100 * one['repeated'][:, -1].mean():.0f} %",
        )
    console.print(table)
    console.print(
        "At its best: after the epoch that is best on the validation images. Wrong learnt: the\n"
        "share of the wrong training labels that the model gives back in the end.\n"
    )

    draw(found, rho)
    console.rule("Summary")
    gain = {
        way: 100 * np.mean(found[SHARP]["test"][:, -1] - found[way]["test"][:, -1])
        for way in (PLAIN, LONGER)
    }
    at_best = 100 * np.mean(found[SHARP]["at best"] - found[LONGER]["at best"])
    console.print(
        f"With a fifth of the labels wrong, sharpness-aware training is right on "
        f"{percent(found[SHARP]['test'][:, -1])},\nthat is {gain[PLAIN]:+.1f} points from plain "
        f"training, {gain[LONGER]:+.1f} from plain training of equal cost, and\n{at_best:+.1f} "
        f"where each may stop at its best epoch.\n"
        f"In {os.path.relpath(OUTPUT)}: sharpness_aware.png. "
        f"Took {time.perf_counter() - start:.0f} s."
    )
    return {"rho": rho, "validation": accuracies, "found": found}


if __name__ == "__main__":
    main()
