"""Teaches a small network what a large one makes of images that nobody has labelled.

Run it with `python examples/distillation.py`; it writes into `examples/output/`.

The data are scikit-learn's bundled digits (1,797 scans of 8 x 8 pixels, no download): 997 to train
on, 200 to choose by, 600 to test on. Of the 997 only 100 have labels, ten of each digit, others for
each seed. The teacher is a convolutional network, trained on the 100 and on copies of them that are
shifted by a pixel. The student is a dense network a sixtieth as large.

It learns in three ways, with equally many steps: from the 100 labels alone; from the digit that the
teacher finds likeliest in each of the 997 images; and from all its probabilities at a temperature,
by `DistillationModel` with `alpha=0`, which needs no labels. The temperature is chosen by the 200,
with another seed than the five that are reported.

What comes out: the images without labels are worth 5 points. The probabilities are worth no more
than the likeliest digit here, and a high temperature is no help.
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
LABELS_PER_DIGIT = 10
TEMPERATURES = (1.0, 2.0, 4.0)
SHOWN_TEMPERATURES = (1.0, 4.0)
SEED_TO_CHOOSE_BY = 100
SEEDS = (0, 1, 2, 3, 4)
TEACHER_STEPS = 240
STUDENT_STEPS = 480
BATCH_SIZE = 64
TEACHER = "the teacher"
ALONE, HARD, SOFT = "student, 100 labels", "student, likeliest digit", "student, distilled"
COLOURS = {ALONE: "C1", HARD: "0.35", SOFT: "C0", TEACHER: "C2"}
COLUMNS = ("{task.description}", BarColumn(), MofNCompleteColumn(), "models", TimeElapsedColumn())

tf.get_logger().setLevel("ERROR")  # each model makes a graph, as it should
console = Console(width=None if Console().is_terminal else 100)


def load():
    """Images and labels, `{"train": (images, labels), "validation": ..., "test": ...}`."""
    digits = load_digits()
    images, labels = digits.images.astype("float32")[..., np.newaxis] / 16, digits.target
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


def with_labels(labels, seed):
    """The indices of the images of which the labels are known."""
    random = np.random.default_rng(seed)
    chosen = [
        random.choice(np.flatnonzero(labels == digit), LABELS_PER_DIGIT, replace=False)
        for digit in range(10)
    ]
    return np.concatenate(chosen)


def shifted(images, labels):
    """The images, and copies of them shifted by a pixel in each of eight directions."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    copies = [padded[:, y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
    return np.concatenate(copies), np.tile(labels, 9)


def teacher_layers():
    """A convolutional network."""
    return [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
        keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(10),
    ]


def student_layers():
    """A small dense network."""
    return [
        keras.Input((8, 8, 1)),
        keras.layers.Flatten(),
        keras.layers.Dense(16, activation="relu"),
        keras.layers.Dense(10),
    ]


class Learner:
    """A compiled model that can be trained again and again, each time from new weights.

    Args:
        model: The model.
        layers: Makes its layers.
        steps: How many steps a training has.
        rate: The learning rate at the start.
        loss: The compiled loss, or `None`.
    """

    def __init__(self, model, layers, steps, rate, loss):
        self.model = model
        self.layers = layers
        self.steps = steps
        schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
        optimizer = keras.optimizers.Adam(schedule)
        model.compile(optimizer, loss=loss, steps_per_execution=steps)

    def train(self, data, seed):
        """Trains from new weights on arrays, `(images, labels)` or `(images,)`."""
        keras.utils.set_random_seed(seed)
        self.model.set_weights(keras.Sequential(self.layers()).get_weights())
        for variable in self.model.optimizer.variables:
            variable.assign(tf.zeros_like(variable))
        batches = tf.data.Dataset.from_tensor_slices(data).shuffle(len(data[0]), seed=seed)
        batches = batches.repeat().batch(BATCH_SIZE)
        self.model.fit(batches, steps_per_epoch=self.steps, shuffle=False, verbose=0)

    def accuracy(self, images, labels):
        """The share of images whose digit the model finds."""
        logits = self.model(images, training=False).numpy()
        return float(np.mean(logits.argmax(axis=1) == labels))


def make_learners(temperatures):
    """The teacher, the student, and distilled students by their temperature."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = keras.Sequential(teacher_layers())
    teacher = Learner(model, teacher_layers, TEACHER_STEPS, 3e-3, loss)
    student_of = functools.partial(Learner, layers=student_layers, steps=STUDENT_STEPS, rate=0.01)
    student = student_of(keras.Sequential(student_layers()), loss=loss)
    distilled = {
        temperature: student_of(
            models.DistillationModel(
                student_layers(), teacher=model, temperature=temperature, alpha=0.0
            ),
            loss=None,
        )
        for temperature in temperatures
    }
    return teacher, student, distilled


def choose_temperature(data, teacher, distilled, advance):
    """The temperature that is best on the validation images, and the accuracy with each."""
    images, labels = data["train"]
    few = with_labels(labels, SEED_TO_CHOOSE_BY)
    teacher.train(shifted(images[few], labels[few]), SEED_TO_CHOOSE_BY)
    advance()
    accuracies = {}
    for temperature, learner in distilled.items():
        learner.train((images,), SEED_TO_CHOOSE_BY)
        accuracies[temperature] = learner.accuracy(*data["validation"])
        advance()
    return max(accuracies, key=accuracies.get), accuracies


def compare(data, teacher, student, distilled, advance):
    """The accuracy on the test images of the teacher and each student, for each seed."""
    images, labels = data["train"]
    found = {way: [] for way in COLOURS}
    for seed in SEEDS:
        few = with_labels(labels, seed)
        teacher.train(shifted(images[few], labels[few]), seed)
        likeliest = teacher.model(images, training=False).numpy().argmax(axis=1)
        for way, learner, part in (
            (TEACHER, teacher, None),
            (ALONE, student, (images[few], labels[few])),
            (HARD, student, (images, likeliest)),
            (SOFT, distilled, (images,)),
        ):
            if part is not None:
                learner.train(part, seed)
            found[way].append(learner.accuracy(*data["test"]))
            advance()
    return found


def soft_targets(model, images, temperature):
    """The probabilities that a model gives at a temperature."""
    return tf.nn.softmax(model(images, training=False) / temperature).numpy()


def draw(data, model, found):
    """Draws some digits with the teacher's probabilities, and the accuracies."""
    images, labels = data["train"]
    sure = soft_targets(model, images, 1.0).max(axis=1)
    # Of four digits, the images that the teacher is nine tenths sure of, or nearly.
    nearest = np.argsort(np.abs(sure - 0.9))
    digits = list(dict.fromkeys(labels[nearest].tolist()))[:4]
    shown = [next(index for index in nearest if labels[index] == digit) for digit in digits]

    figure = plt.figure(figsize=(11, 5.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.5, 1])
    grid = left.subplots(len(shown), 3, width_ratios=[0.55, 1, 1])
    for row, index in zip(grid, shown, strict=True):
        row[0].imshow(images[index, ..., 0], cmap="gray_r", vmin=0, vmax=1)
        row[0].set(xticks=[], yticks=[])
        for axes, temperature in zip(row[1:], SHOWN_TEMPERATURES, strict=True):
            values = soft_targets(model, images[[index]], temperature)[0]
            colours = ["C0" if digit == labels[index] else "0.6" for digit in range(10)]
            axes.bar(range(10), values, color=colours)
            axes.set(ylim=(0, 1), yticks=[0, 1], xticks=range(10))
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelbottom=index == shown[-1])
    for axes, temperature in zip(grid[0, 1:], SHOWN_TEMPERATURES, strict=True):
        axes.set_title(f"temperature {temperature:g}")
    for axes in grid[-1, 1:]:
        axes.set_xlabel("digit")
    left.suptitle("What the teacher makes of images without a label (blue: the digit it is)")

    axes = right.subplots()
    for height, (way, colour) in enumerate(reversed(COLOURS.items())):
        percents = 100 * np.array(found[way])
        axes.plot(percents, np.full(len(percents), height), "o", color=colour, alpha=0.5)
        axes.plot([percents.mean()] * 2, [height - 0.18, height + 0.18], color=colour, linewidth=3)
        text = f"{way}: {percents.mean():.1f} %"
        axes.text(percents.mean(), height + 0.26, text, ha="center", color=colour, weight="bold")
    axes.set(ylim=(-0.5, len(COLOURS) - 0.4), yticks=[])
    middle = 50 * (min(found[ALONE]) + max(found[TEACHER]))
    axes.set_xlim(middle - 10, middle + 10)
    axes.xaxis.set_major_locator(plt.MultipleLocator(5))
    axes.xaxis.set_major_formatter("{x:g} %")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)
    right.suptitle(f"Test images read right, {len(SEEDS)} seeds and their mean")
    figure.savefig(OUTPUT / "distillation.png", dpi=120)
    plt.close(figure)


def percent(values):
    """Mean and spread, as text."""
    return f"{100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1):.1f} %"


def main():
    """Runs all of it and returns the figures it prints."""
    start = time.perf_counter()
    OUTPUT.mkdir(exist_ok=True)
    data = load()
    teacher, student, distilled = make_learners(TEMPERATURES)
    with Progress(*COLUMNS, console=console) as progress:
        task = progress.add_task("choosing a temperature", total=1 + len(TEMPERATURES))
        advance = functools.partial(progress.advance, task)
        temperature, accuracies = choose_temperature(data, teacher, distilled, advance)
        task = progress.add_task("teachers and students ", total=4 * len(SEEDS))
        advance = functools.partial(progress.advance, task)
        found = compare(data, teacher, student, distilled[temperature], advance)

    console.print()
    table = Table(title="Accuracy on the validation images", title_justify="left")
    table.add_column("temperature", justify="right")
    for value in accuracies:
        table.add_column(f"{value:g}", justify="right")
    table.add_row("", *(f"{100 * accuracy:.1f} %" for accuracy in accuracies.values()))
    console.print(table, f"Chosen: temperature={temperature:g}.\n")

    table = Table(
        title=f"Accuracy on the test images, mean and spread of {len(SEEDS)} seeds",
        title_justify="left",
    )
    for heading in ("", "weights", "right", "points more than alone"):
        table.add_column(heading, justify="left" if not heading else "right")
    for way, values in found.items():
        model = teacher.model if way == TEACHER else student.model
        more = percent(np.subtract(values, found[ALONE])).removesuffix(" %")
        cells = (f"{model.count_params():,}", percent(values), more)
        table.add_row(way, *cells if way != ALONE else cells[:2])
    console.print(table, "")

    draw(data, teacher.model, found)
    console.rule("Summary")
    gain, over_hard = (100 * (np.mean(found[SOFT]) - np.mean(found[way])) for way in (ALONE, HARD))
    console.print(
        f"With {10 * LABELS_PER_DIGIT} labels the student is right on {percent(found[ALONE])}; "
        f"distilled, on {percent(found[SOFT])},\n{gain:+.1f} points, without one label more; and "
        f"{over_hard:+.1f} points from learning the likeliest digit alone.\n"
        f"In {os.path.relpath(OUTPUT)}: distillation.png. Took {time.perf_counter() - start:.0f} s."
    )
    return {"temperature": temperature, "validation": accuracies, "found": found}


if __name__ == "__main__":
    main()
