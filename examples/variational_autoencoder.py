"""Learns what digits look like, draws new ones, and goes from one digit to another.

Run it with `python examples/variational_autoencoder.py`; it writes into `examples/output/`.

The data are scikit-learn's bundled digits (1,797 scans of 8 x 8 pixels, no download). An encoder
gives mean and log variance of a few latent values, `GaussianSampling` draws the values and adds
their divergence from the standard normal to the loss, and a decoder makes an image of them. The
weight of the divergence grows over the first epochs. At full weight from the start, a model may
learn to ignore its latent values before they say anything.

Are the samples digits? Two classifiers that were trained on real digits say: on an image that
looks like a digit they agree, and logistic regression is confident; and the nearest digit of the
training set is not far. Beside the samples stand digits of the test set, and samples of a Gaussian
with the mean and covariance of the pixels.
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
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from tensorflow import keras

from tfk_patterns import layers

OUTPUT = pathlib.Path(__file__).parent / "output"
LATENT = 8
EPOCHS = 40
WARMUP_EPOCHS = 10
BATCH_SIZE = 64
SAMPLES = 1000
SEED = 1
COLUMNS = ("{task.description}", BarColumn(), MofNCompleteColumn(), "epochs", TimeElapsedColumn())

console = Console(width=None if Console().is_terminal else 100)


def reconstruction(images, decoded):
    """The cross-entropy of an image's pixels, summed over the 64 of them."""
    return 64 * keras.losses.binary_crossentropy(images, decoded)


def make_model(steps_per_epoch):
    """The whole model, and its two halves, which share its layers."""
    keras.utils.set_random_seed(SEED)
    images = keras.Input((64,), name="pixels")
    x = layers.MLP([256, 256], final_activation="relu", name="encoder")(images)
    mean = keras.layers.Dense(LATENT, name="mean")(x)
    log_variance = keras.layers.Dense(LATENT, name="log_variance")(x)
    latent = layers.GaussianSampling(
        warmup_steps=WARMUP_EPOCHS * steps_per_epoch, seed=SEED, name="latent"
    )([mean, log_variance])
    decoder = layers.MLP(
        [256, 256, 64], input_dim=LATENT, final_activation="sigmoid", name="decoder"
    )
    model = keras.Model(images, decoder(latent))
    model.compile(
        keras.optimizers.Adam(2e-3),
        loss=reconstruction,
        metrics=[reconstruction],  # the loss without the divergence
        steps_per_execution=steps_per_epoch,  # less to do between the steps
        jit_compile=False,  # Keras 3 compiles with XLA itself where there is a GPU
    )
    return model, keras.Model(images, mean), decoder


def train(model, images, test_images):
    """Trains the model and returns its history."""
    with Progress(*COLUMNS, console=console) as progress:
        task = progress.add_task("training", total=EPOCHS)
        bar = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: progress.advance(task))
        return model.fit(
            images,
            images,
            batch_size=BATCH_SIZE,
            epochs=EPOCHS,
            validation_data=(test_images, test_images),
            verbose=0,
            callbacks=[bar],
        ).history


def judge(images, regression, neighbours):
    """What two classifiers say of images: how often they agree, how sure one is, what is rarest."""
    answers = neighbours.predict(images)
    return {
        "agreement": float(np.mean(regression.predict(images) == answers)),
        "confidence": float(np.mean(regression.predict_proba(images).max(axis=1))),
        "distance": float(np.mean(neighbours.kneighbors(images, 1)[0])),
        "rarest": float(np.min(np.bincount(answers, minlength=10)) / len(images)),
    }


def draw_history(history):
    """Draws reconstruction and divergence over the epochs."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    epochs = range(1, EPOCHS + 1)
    names = {"reconstruction": "Reconstruction", "latent_kl": "Divergence from the standard normal"}
    for one, (key, title) in zip(axes, names.items(), strict=True):
        one.plot(epochs, history[key], label="training")
        one.plot(epochs, history[f"val_{key}"], "--", label="test, with the mean for a sample")
        one.axvline(WARMUP_EPOCHS, color="grey", linestyle=":", label="the weight is 1 from here")
        one.set(xlabel="epoch", ylabel="nats per image", title=title)
        one.legend(fontsize="small")
    axes[0].set_ylim(top=max(history["val_reconstruction"][1:]))
    figure.savefig(OUTPUT / "vae_history.png", dpi=120)
    plt.close(figure)


def draw_images(samples, gaussian, real, walk):
    """Draws samples beside the baseline's and real digits, and the walk below."""
    figure = plt.figure(figsize=(10, 5.2), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[3.4, 1])
    titles = ("Samples of the model", "Samples of a Gaussian of the pixels", "Digits of the test")
    for part, title, images in zip(
        above.subfigures(1, 3, wspace=0.06), titles, (samples, gaussian, real), strict=True
    ):
        part.suptitle(title, fontsize="medium")
        show(part.subplots(6, 6), images)
    below.suptitle("From one digit of the test to another, in equal steps", fontsize="medium")
    show(below.subplots(1, len(walk)), walk)
    figure.savefig(OUTPUT / "vae_images.png", dpi=120)
    plt.close(figure)


def show(grid, images):
    """Draws each image in its own place of a grid."""
    for axes, image in zip(grid.flat, images, strict=False):
        axes.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        axes.axis("off")


def main():
    """Runs all of it and returns the figures it prints."""
    start = time.perf_counter()
    OUTPUT.mkdir(exist_ok=True)
    digits = load_digits()
    images, test_images, labels, test_labels = train_test_split(
        digits.data.astype("float32") / 16,
        digits.target,
        test_size=0.2,
        stratify=digits.target,
        random_state=SEED,
    )
    model, encoder, decoder = make_model(steps_per_epoch=-(-len(images) // BATCH_SIZE))
    history = train(model, images, test_images)

    random = np.random.default_rng(SEED)
    latents = random.normal(size=(SAMPLES, LATENT)).astype("float32")
    samples = np.array(decoder(latents))
    covariance = np.cov(images.T)
    gaussian = random.multivariate_normal(images.mean(axis=0), covariance, SAMPLES, method="eigh")
    gaussian = np.clip(gaussian, 0, 1)
    two = [list(test_labels).index(digit) for digit in (3, 6)]
    ends = encoder.predict(test_images[two], verbose=0)
    walk = np.array(decoder(np.linspace(*ends, 11)))

    regression = LogisticRegression(max_iter=5000).fit(images, labels)
    neighbours = KNeighborsClassifier(3).fit(images, labels)
    kinds = {"digits of the test": test_images, "samples": samples, "Gaussian": gaussian}
    judged = {name: judge(part, regression, neighbours) for name, part in kinds.items()}
    console.print()
    table = Table(title="Are they digits?", title_justify="left")
    for heading in ("", "classifiers agree", "confidence", "distance to a digit", "rarest digit"):
        table.add_column(heading)
    for name, row in judged.items():
        table.add_row(name, *(f"{value:.3f}" for value in row.values()))
    console.print(table, "")
    draw_history(history)
    draw_images(samples, gaussian, test_images, walk)

    last = {key: values[-1] for key, values in history.items()}
    agreement = {name: row["agreement"] for name, row in judged.items()}
    console.rule("Summary")
    console.print(
        f"On the test: reconstruction {last['val_reconstruction']:.1f} and divergence "
        f"{last['val_latent_kl']:.1f} nats an image.\n"
        "Logistic regression and nearest neighbours give the same answer on "
        f"{agreement['digits of the test']:.1%} of the\ntest's digits, on "
        f"{agreement['samples']:.1%} of the samples and on {agreement['Gaussian']:.1%} of a "
        "Gaussian's.\n"
        f"In {os.path.relpath(OUTPUT)}: vae_history.png, vae_images.png. "
        f"Took {time.perf_counter() - start:.0f} s."
    )
    return {"history": history, "judged": judged}


if __name__ == "__main__":
    main()
