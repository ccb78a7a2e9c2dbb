"""Codes digits in units that are seldom on and seldom agree, and watches what the units do.

Run it with `python examples/sparse_autoencoder.py`; it writes into `examples/output/`.

The data are scikit-learn's bundled digits (1,797 scans of 8 x 8 pixels, no download). An
autoencoder squeezes an image into a code of 32 values in (0, 1) and rebuilds it. On the code,
`SparsityActivityRegularization` draws each unit's mean to 0.1, and
`DecorrelationActivityRegularization` draws the covariance of different units to 0. Beside it
stands the same autoencoder without the two, and PCA with as many components, which of all linear
codes of that size rebuilds the training images best. A sparse code is not there to beat it.

`ActivationMonitor` reports the mean of the code in each epoch, and how many units of the hidden
layer are dead, that is 0 for every image. A third autoencoder, without batch normalisation,
shows why that is worth watching: its loss falls like the others', while units die.
"""

import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # only errors from TensorFlow's C++ side
os.environ.setdefault("MPLBACKEND", "Agg")

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from tensorflow import keras

from tfk_patterns import layers

OUTPUT = pathlib.Path(__file__).parent / "output"
HIDDEN = 128
UNITS = 32
TARGET = 0.1
EPOCHS = 40
BATCH_SIZE = 64
SEED = 1
COLUMNS = ("{task.description}", BarColumn(), MofNCompleteColumn(), "epochs", TimeElapsedColumn())
PLAIN, SPARSE, UNNORMALISED = "plain", "regularised", "the same, not normalised"

console = Console(width=None if Console().is_terminal else 100)


def make_model(regularised, normalised, steps_per_epoch):
    """The autoencoder, and the part of it that makes the code."""
    keras.utils.set_random_seed(SEED)
    pixels = keras.Input((64,), name="pixels")
    x = keras.layers.Dense(HIDDEN, name="dense")(pixels)
    if normalised:
        x = layers.BatchNormDropout("relu", rate=0.0, momentum=0.9, name="block")(x)
    else:
        x = keras.layers.Activation("relu", name="relu")(x)
    x = layers.ActivationMonitor(name="hidden")(x)
    x = keras.layers.Dense(UNITS, activation="sigmoid", name="units")(x)
    if regularised:
        x = layers.SparsityActivityRegularization(TARGET, weight=1e-3, name="sparse")(x)
        x = layers.DecorrelationActivityRegularization(weight=0.1, name="decorrelated")(x)
    code = layers.ActivationMonitor(name="code")(x)
    outputs = keras.layers.Dense(64, activation="sigmoid", name="features")(code)
    model = keras.Model(pixels, outputs)
    schedule = keras.optimizers.schedules.CosineDecay(0.03, EPOCHS * steps_per_epoch)
    model.compile(
        keras.optimizers.Adam(schedule),
        loss="mse",
        steps_per_execution=steps_per_epoch,  # less to do between the steps
        jit_compile=False,
    )
    return model, keras.Model(pixels, code)


def train(model, images, title):
    """Trains the model and returns its history."""
    with Progress(*COLUMNS, console=console) as progress:
        task = progress.add_task(f"{title:<24}", total=EPOCHS)
        bar = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: progress.advance(task))
        return model.fit(
            images, images, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0, callbacks=[bar]
        ).history


def correlation(code):
    """The mean absolute correlation of two different units, over all pairs."""
    correlations = np.corrcoef(code.T)
    return float(np.mean(np.abs(correlations[~np.eye(len(correlations), dtype=bool)])))


def error(rebuilt, images):
    """The mean squared error of a pixel."""
    return float(np.mean(np.square(rebuilt - images)))


def draw_history(histories):
    """Draws what the monitors reported in each epoch."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for (name, history), style in zip(histories.items(), ("C3", "C0", "k--"), strict=True):
        epochs = range(1, EPOCHS + 1)
        axes[0].plot(epochs, history["code_mean"], style, label=name)
        thick = {"linewidth": 5, "alpha": 0.4} if name == PLAIN else {}
        axes[1].plot(epochs, history["hidden_dead_units"], style, label=name, **thick)
    axes[0].axhline(TARGET, color="grey", linestyle=":", label="target")
    axes[0].set(xlabel="epoch", ylabel="mean of the code", ylim=(0, 1), title="code_mean")
    axes[1].set(xlabel="epoch", ylabel=f"of {HIDDEN} hidden units", title="hidden_dead_units")
    for one in axes:
        one.legend(fontsize="small")
    figure.savefig(OUTPUT / "sparse_history.png", dpi=120)
    plt.close(figure)


def draw_images(images, rebuilt, features):
    """Draws digits above what became of them, and below the images that single units add."""
    figure = plt.figure(figsize=(10, 7.4), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[1.2, 1])
    grid = above.subplots(4, 12)
    for row, (name, part) in zip(grid, {"original": images, **rebuilt}.items(), strict=True):
        row[0].set_ylabel(name, rotation="horizontal", ha="right", va="center")
        for axes, image in zip(row, part, strict=False):
            axes.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    above.suptitle("Digits of the test, rebuilt from 32 values")
    halves = below.subfigures(1, 2, wspace=0.06)
    for half, (name, kernel) in zip(halves, features.items(), strict=True):
        largest = np.max(np.abs(kernel))
        for axes, feature in zip(half.subplots(4, 8).flat, kernel, strict=True):
            axes.imshow(feature.reshape(8, 8), cmap="RdBu_r", vmin=-largest, vmax=largest)
        half.suptitle(f"What each unit adds, {name} (red: ink, blue: paper)", fontsize="medium")
    for axes in figure.axes:
        axes.set(xticks=[], yticks=[])
    figure.savefig(OUTPUT / "sparse_images.png", dpi=120)
    plt.close(figure)


def main():
    """Runs all of it and returns the figures it prints."""
    start = time.perf_counter()
    OUTPUT.mkdir(exist_ok=True)
    digits = load_digits()
    images, test_images = train_test_split(
        digits.data.astype("float32") / 16,
        test_size=0.2,
        stratify=digits.target,
        random_state=SEED,
    )
    steps_per_epoch = -(-len(images) // BATCH_SIZE)
    table = Table(title="On the test images", title_justify="left")
    table.add_column("")
    for heading in ("error", "mean of the code", "mean |correlation|", "dead hidden units"):
        table.add_column(heading, justify="right")

    found, histories, rebuilt, features = {}, {}, {}, {}
    for name in (PLAIN, SPARSE, UNNORMALISED):
        model, encoder = make_model(name != PLAIN, name != UNNORMALISED, steps_per_epoch)
        histories[name] = train(model, images, name)
        metrics = model.evaluate(test_images, test_images, verbose=0, return_dict=True)
        rebuilt[name] = model.predict(test_images, verbose=0)
        features[name] = model.get_layer("features").get_weights()[0]
        found[name] = {
            "error": error(rebuilt[name], test_images),
            "mean": metrics["code_mean"],
            "correlation": correlation(encoder.predict(test_images, verbose=0)),
            "dead": int(metrics["hidden_dead_units"]),
        }
        cells = (f"{found[name][key]:.3f}" for key in ("mean", "correlation"))
        table.add_row(name, f"{found[name]['error']:.4f}", *cells, f"{found[name]['dead']}")
    pca = PCA(UNITS).fit(images)
    rebuilt["PCA"] = pca.inverse_transform(pca.transform(test_images))
    pca_error = error(rebuilt["PCA"], test_images)
    table.add_row(f"PCA, {UNITS} components", f"{pca_error:.4f}", "", "", "")
    mean_error = error(images.mean(axis=0), test_images)
    table.add_row("the mean image, always", f"{mean_error:.4f}", "", "", "")
    console.print()
    console.print(table, "")

    draw_history(histories)
    draw_images(
        test_images,
        {name: rebuilt[name] for name in (PLAIN, SPARSE, "PCA")},
        {name: features[name] for name in (PLAIN, SPARSE)},
    )
    plain, sparse = found[PLAIN], found[SPARSE]
    console.rule("Summary")
    console.print(
        f"The regularisers take the mean of the code from {plain['mean']:.2f} to "
        f"{sparse['mean']:.2f} and the mean absolute correlation of\ntwo units from "
        f"{plain['correlation']:.3f} to {sparse['correlation']:.3f}. The error of a pixel goes "
        f"from {plain['error']:.4f} to {sparse['error']:.4f};\nPCA's is {pca_error:.4f}, and "
        f"{mean_error:.4f} is that of the mean image.\n"
        f"Without batch normalisation {found[UNNORMALISED]['dead']} of {HIDDEN} hidden units are "
        f"dead, with it {sparse['dead']}.\n"
        f"In {os.path.relpath(OUTPUT)}: sparse_history.png, sparse_images.png. "
        f"Took {time.perf_counter() - start:.0f} s."
    )
    return {"found": found, "pca_error": pca_error, "mean_error": mean_error}


if __name__ == "__main__":
    main()
