"""Learns from a stream that nobody has scaled, and standardises it as it comes.

Run it with `python examples/online_standardizer.py`; it writes into `examples/output/`.

The data are scikit-learn's breast cancer data (569 tumours, 30 features, no download), in the order
of the file and in batches of 8, each seen once. A model is tested on a batch before it is trained
on it, so that each answer is about data it has not seen: its accuracy so far is what it would have
had in use.

The features differ in size by a factor of a hundred thousand, and a plain model learns next to
nothing from them. `keras.layers.Normalization` needs all the data before the stream begins, which
in use it cannot have. `RunningStandardizer` takes the mean and variance of what has come so far.
After the pass they are those of all the data.
"""

import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # only errors from TensorFlow's C++ side
os.environ.setdefault("MPLBACKEND", "Agg")

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.datasets import load_breast_cancer
from tensorflow import keras

from tfk_patterns import layers

OUTPUT = pathlib.Path(__file__).parent / "output"
BATCH_SIZE = 8
RATE = 0.3
SMALLER_RATES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)  # for the plain model, which gets the best of all
SEED = 1
PLAIN, RUNNING, ADAPTED = "no scaling", "RunningStandardizer", "Normalization, adapted before"

console = Console(width=None if Console().is_terminal else 100)


def make_model(first, rate):
    """Logistic regression behind a layer that scales the features, or behind none."""
    keras.utils.set_random_seed(SEED)
    inputs = keras.Input((30,), name="features")
    x = inputs if first is None else first(inputs)
    outputs = keras.layers.Dense(1, activation="sigmoid", name="benign")(x)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(rate), loss="binary_crossentropy", jit_compile=False)
    return model


def stream(model, features, labels, title, after_batch=lambda: None):
    """Tests the model on each batch, then trains it; returns which answers were right."""
    right = []
    starts = range(0, len(features), BATCH_SIZE)
    for start in track(starts, f"{title:<29}", console=console):
        batch = slice(start, start + BATCH_SIZE)
        answers = model.predict_on_batch(features[batch])[:, 0] > 0.5
        right.extend(answers == labels[batch])
        model.train_on_batch(features[batch], labels[batch])
        after_batch()
    return np.array(right)


def so_far(right):
    """The share of right answers up to each one."""
    return np.cumsum(right) / np.arange(1, len(right) + 1)


def relative_difference(found, wanted):
    """The largest difference, as a share of the wanted value."""
    return float(np.max(np.abs(found - wanted) / np.abs(wanted)))


def draw(right, majority, history, features):
    """Draws the accuracy so far, and how the layer's statistics come to those of the data."""
    figure, (left, middle, last) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for name, style in ((ADAPTED, "C2--"), (RUNNING, "C0"), (PLAIN, "C3")):
        left.plot(so_far(right[name]), style, label=name)
    left.axhline(majority, color="grey", linestyle=":", label="the commoner answer, always")
    left.set(xlabel="tumours seen", ylabel="accuracy so far", ylim=(0, 1.02))
    left.set_title("Tested on each batch before learning it")
    left.legend(loc="lower right", fontsize="small")

    means, variances = (np.array(part) for part in zip(*history, strict=True))
    mean, std = features.mean(axis=0), features.std(axis=0)
    seen = np.minimum(np.arange(1, len(history) + 1) * BATCH_SIZE, len(features))
    middle.plot(seen, (means - mean) / std, color="C0", alpha=0.4, linewidth=1)
    middle.set(ylabel="(mean so far - mean) / std of all data", title="The layer's 30 means")
    last.plot(seen, np.sqrt(variances) / std, color="C0", alpha=0.4, linewidth=1)
    last.set(ylabel="std so far / std of all data", title="The layer's 30 standard deviations")
    for axes, final in ((middle, 0), (last, 1)):
        axes.axhline(final, color="black", linewidth=1, linestyle="--")
        axes.set_xlabel("tumours seen")
    figure.savefig(OUTPUT / "online_standardizer.png", dpi=120)
    plt.close(figure)


def main():
    """Runs all of it and returns the figures it prints."""
    start = time.perf_counter()
    OUTPUT.mkdir(exist_ok=True)
    data = load_breast_cancer()
    features = data.data.astype("float32")  # as the models take them
    labels = data.target  # 1: benign
    exact = features.astype("float64")
    largest = exact.max(axis=0)
    console.print(
        f"{len(features)} tumours in batches of {BATCH_SIZE}, each batch seen once. The largest "
        f"values of the\nfeatures go from {largest.min():.2g} to {largest.max():.4g}.\n"
    )

    right, history = {}, []
    standardizer = layers.RunningStandardizer(name="standardizer")

    def note_statistics():
        history.append([standardizer.mean.numpy(), standardizer.variance.numpy()])

    model = make_model(standardizer, RATE)
    right[RUNNING] = stream(model, features, labels, RUNNING, note_statistics)

    peeking = keras.layers.Normalization()
    peeking.adapt(features)  # all the data, before the first batch
    right[ADAPTED] = stream(make_model(peeking, RATE), features, labels, ADAPTED)

    plain = {}
    for rate in (RATE, *SMALLER_RATES):
        model = make_model(None, rate)
        plain[rate] = stream(model, features, labels, f"{PLAIN}, rate {rate:g}")
    best_rate = max(plain, key=lambda rate: plain[rate].mean())
    right[PLAIN] = plain[best_rate]

    console.print()
    majority = float(max(labels.mean(), 1 - labels.mean()))
    accuracy = {name: float(answers.mean()) for name, answers in right.items()}
    second_half = {name: float(part[len(part) // 2 :].mean()) for name, part in right.items()}
    table = Table(title="Accuracy, each batch tested before it is learned", title_justify="left")
    for heading in ("", "learning rate", "whole stream", "second half"):
        table.add_column(heading)
    rates = {PLAIN: f"{best_rate:g}, the best of {len(plain)}"}
    for name in (PLAIN, RUNNING, ADAPTED):
        cells = (f"{accuracy[name]:.3f}", f"{second_half[name]:.3f}")
        table.add_row(name, rates.get(name, f"{RATE:g}"), *cells)
    late = float(max(labels[len(labels) // 2 :].mean(), 1 - labels[len(labels) // 2 :].mean()))
    table.add_row("the commoner answer, always", "", f"{majority:.3f}", f"{late:.3f}")
    console.print(table, "")

    means, variances = history[-1]
    differences = {
        "mean": relative_difference(means, exact.mean(axis=0)),
        "variance": relative_difference(variances, exact.var(axis=0)),
    }
    count = int(standardizer.count.numpy())
    draw(right, majority, history, exact)
    console.rule("Summary")
    console.print(
        f"Without scaling, logistic regression is right on {accuracy[PLAIN]:.1%}, with its best "
        f"learning rate;\nbehind a RunningStandardizer on {accuracy[RUNNING]:.1%}, and behind a "
        f"Normalization that has seen\nall the data beforehand on {accuracy[ADAPTED]:.1%}.\n"
        f"After one pass the layer has counted {count} tumours. Its means differ from NumPy's by "
        f"at most\n{differences['mean']:.0e} of their size, its variances by "
        f"{differences['variance']:.0e}.\n"
        f"In {os.path.relpath(OUTPUT)}: online_standardizer.png. "
        f"Took {time.perf_counter() - start:.0f} s."
    )
    return {
        "accuracy": accuracy,
        "second_half": second_half,
        "majority": majority,
        "count": count,
        "differences": differences,
    }


if __name__ == "__main__":
    main()
