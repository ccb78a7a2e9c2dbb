"""A training algorithm in 20 lines, beside the same one in a `train_step` as it is often written.

Run it with `python examples/custom_train_step.py`; it writes into `examples/output/`.

The algorithm is adversarial training: each pixel of an image is moved a little in the direction
that raises the loss, and the network learns the image that comes of it. How little grows over the
first steps. `Adversarial` is written on `TrainStepModel`; `Naive` is a `keras.Model` whose
`train_step` looks right and trains without a word of complaint.

What each does is measured and put beside what it ought to be, which is computed by hand. Then both,
and plain training, learn scikit-learn's bundled digits (1,797 scans of 8 x 8 pixels, no download),
and read test images that an attacker has changed. The faults differ between Keras 2 and 3.

Reference: Goodfellow et al., "Explaining and Harnessing Adversarial Examples", 2015,
https://arxiv.org/abs/1412.6572
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
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tensorflow import keras

from tfk_patterns import models

OUTPUT = pathlib.Path(__file__).parent / "output"
EPSILON = 0.1  # of a pixel between 0 and 1
WARMUP_STEPS = 200
STEPS = 600
SEEDS = (0, 1, 2)
ATTACKS = (0.0, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15)
COLUMNS = ("{task.description}", BarColumn(), MofNCompleteColumn(), "models", TimeElapsedColumn())

tf.get_logger().setLevel("ERROR")  # each model makes a graph, as it should
console = Console(width=None if Console().is_terminal else 100)


class Adversarial(models.TrainStepModel):
    """Trains on the inputs near by that raise the loss most."""

    def __init__(self, *args, epsilon=EPSILON, warmup_steps=WARMUP_STEPS, **kwargs):
        super().__init__(*args, **kwargs)
        self.epsilon = epsilon
        self.warmup_steps = warmup_steps

    def compute_gradients(self, x, y, sample_weight):
        with tf.GradientTape() as tape, self.dry_run():
            tape.watch(x)
            loss, _ = self.forward_pass(x, y, sample_weight)
        step = tf.cast(self.optimizer.iterations + 1, x.dtype)
        size = self.epsilon * tf.minimum(step / self.warmup_steps, 1.0)
        moved = tf.clip_by_value(x + size * tf.sign(tape.gradient(loss, x)), 0.0, 1.0)
        return super().compute_gradients(moved, y, sample_weight)


class Naive(keras.Model):
    """The same algorithm, and wrong in six ways."""

    def __init__(self, *args, epsilon=EPSILON, warmup_steps=WARMUP_STEPS, **kwargs):
        super().__init__(*args, **kwargs)
        self.epsilon = epsilon
        self.warmup_steps = warmup_steps
        self.step = 0

    def train_step(self, data):
        x, y = data[:2]
        self.step += 1
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_mean(cross_entropy(y, self(x, training=True)))
        size = self.epsilon * min(self.step / self.warmup_steps, 1.0)
        moved = tf.clip_by_value(x + size * tf.sign(tape.gradient(loss, x)), 0.0, 1.0)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(cross_entropy(y, self(moved, training=True)))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


class Plain(keras.Model):
    """Trains on the inputs as they are."""

    def __init__(self, *args, epsilon=EPSILON, warmup_steps=WARMUP_STEPS, **kwargs):
        super().__init__(*args, **kwargs)


class LargestInput(keras.layers.Layer):
    """Passes its inputs on, and remembers the largest."""

    def build(self, input_shape):
        self.value = self.add_weight(name="value", shape=(), initializer="zeros", trainable=False)

    def call(self, inputs):
        self.value.assign(tf.reduce_max(inputs))
        return inputs


def cross_entropy(labels, logits):
    """The loss of each sample."""
    return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def make_model(cls, rate=0.1, penalty=0.0, metrics=None, probe=None, momentum=0.0, **arguments):
    """A compiled model of the class."""
    inputs = keras.Input((64,))
    x = inputs if probe is None else probe(inputs)
    regularizer = keras.regularizers.L2(penalty)
    x = keras.layers.Dense(128, activation="relu", kernel_regularizer=regularizer, name="first")(x)
    model = cls(inputs, keras.layers.Dense(10, name="last")(x), **arguments)
    model.compile(
        keras.optimizers.SGD(rate, momentum=momentum),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=metrics,
    )
    return model


def attacked(model, images, labels, size):
    """The images, each pixel moved by so much that the loss of the model rises."""
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        loss = tf.reduce_sum(cross_entropy(labels, model(images, training=False)))
    return tf.clip_by_value(images + size * tf.sign(tape.gradient(loss, images)), 0.0, 1.0)


def share_right(model, images, labels):
    """The share of the images that the model reads right."""
    return float(np.mean(model(images, training=False).numpy().argmax(axis=1) == labels))


def flat(model):
    """All trainable weights in one vector."""
    return np.concatenate([np.ravel(weight.numpy()) for weight in model.trainable_variables])


def logged_loss(cls, images, labels):
    """The loss that `fit` logs for an epoch, and the mean of the samples' losses."""
    model = make_model(cls, rate=0.0, penalty=1e-2, warmup_steps=1)  # the weights stay
    moved = attacked(model, images, labels, EPSILON)
    losses = cross_entropy(labels, model(moved))
    truth = np.mean(losses) + 1e-2 * np.sum(np.square(model.get_layer("first").get_weights()[0]))
    history = model.fit(images, labels, batch_size=64, shuffle=False, verbose=0).history
    return history["loss"][0], truth


def logged_accuracy(cls, images, labels):
    """The accuracy that `fit` logs, and that of the model on what it was trained on."""
    model = make_model(cls, rate=0.0, metrics=["accuracy"], warmup_steps=1)
    truth = share_right(model, attacked(model, images, labels, EPSILON), labels)
    try:
        history = model.fit(images, labels, batch_size=64, verbose=0).history
    except ValueError as error:
        return type(error).__name__, truth
    return history.get("accuracy", ["none"])[0], truth


def shrinkage(cls, images, labels):
    """What a step with a penalty of 0.1 leaves of the weights of black pixels, rate 1."""
    model = make_model(cls, rate=1.0, penalty=0.1, epsilon=0.0)
    kernel = model.get_layer("first").kernel
    before = np.linalg.norm(kernel.numpy())
    model.fit(0 * images[:64], labels[:64], batch_size=64, verbose=0)
    return np.linalg.norm(kernel.numpy()) / before, 1 - 2 * 0.1


def ignored_samples(cls, images, labels):
    """How far samples of weight 0 move the weights."""
    model = make_model(cls)
    before = flat(model)
    model.fit(images[:64], labels[:64], sample_weight=np.zeros(64), batch_size=64, verbose=0)
    return np.linalg.norm(flat(model) - before), 0.0


def warmup(cls, images, labels):
    """How far pixels are moved in the fifth step of a warm-up of ten."""
    probe = LargestInput()
    model = make_model(cls, rate=0.01, probe=probe, warmup_steps=10)
    grey = np.full((64, 64), 0.5, "float32")
    model.fit(grey, labels[:64], batch_size=64, epochs=5, verbose=0)
    return float(probe.value.numpy()) - 0.5, EPSILON * 5 / 10


def replicated(cls, images, labels):
    """The length of a step on two replicas, and on one."""
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    with strategy.scope():
        model = make_model(cls, warmup_steps=1)
    before = flat(model)
    single = make_model(Adversarial, warmup_steps=1)
    single.set_weights(model.get_weights())
    for one in (model, single):
        one.fit(images[:64], labels[:64], batch_size=64, verbose=0)
    return np.linalg.norm(flat(model) - before), np.linalg.norm(flat(single) - before)


MEASURES = {
    "loss in the logs": logged_loss,
    "accuracy in the logs": logged_accuracy,
    "what an L2 penalty of 0.1 leaves of idle weights": shrinkage,
    "weights moved by samples of weight 0": ignored_samples,
    "pixels moved in step 5 of a warm-up of 10": warmup,
    "length of a step on two replicas": replicated,
}


def measure(images, labels):
    """What both classes do, and ought to: `{measure: (naive, right, truth)}`."""
    found = {}
    for name, function in MEASURES.items():
        values = []
        for cls in (Naive, Adversarial):
            keras.utils.set_random_seed(0)
            value, truth = function(cls, images, labels)
            values.append(value)
        found[name] = (*values, truth)
    return found


def compare(data):
    """Accuracies under attack, `{class: (seeds, attacks)}`, each model attacked for itself."""
    images, test_images, labels, test_labels = data
    found = {}
    with Progress(*COLUMNS, console=console) as progress:
        for cls in (Plain, Naive, Adversarial):
            task = progress.add_task(f"{cls.__name__:<12}", total=len(SEEDS))
            rows = []
            for seed in SEEDS:
                keras.utils.set_random_seed(seed)
                model = make_model(cls, penalty=1e-4, momentum=0.9)
                batches = tf.data.Dataset.from_tensor_slices((images, labels))
                batches = batches.shuffle(len(images), seed=seed).repeat().batch(64)
                model.fit(batches, steps_per_epoch=STEPS, shuffle=False, verbose=0)
                progress.advance(task)
                moved = [attacked(model, test_images, test_labels, size) for size in ATTACKS]
                rows.append([share_right(model, one, test_labels) for one in moved])
            found[cls] = np.array(rows)
    return found


def draw(found):
    """Draws the accuracy over the size of the attack."""
    figure, axes = plt.subplots(figsize=(7, 4.4), layout="constrained")
    styles = {
        Naive: ("naive train_step", "C1", "o-", -8),
        Plain: ("plain", "0.2", "o--", 8),
        Adversarial: ("on TrainStepModel", "C0", "o-", 0),
    }
    for cls, (name, colour, style, shift) in styles.items():
        rows = found[cls]
        percents = 100 * rows
        axes.fill_between(
            ATTACKS,
            percents.min(axis=0),
            percents.max(axis=0),
            color=colour,
            alpha=0.2,
            linewidth=0,
        )
        axes.plot(ATTACKS, percents.mean(axis=0), style, color=colour, linewidth=2)
        axes.annotate(
            name,
            (ATTACKS[-1], percents[:, -1].mean()),
            xytext=(8, shift),
            textcoords="offset points",
            va="center",
            color=colour,
            fontweight="bold",
        )
    axes.axvline(EPSILON, color="0.7", linestyle=":", zorder=0)
    axes.text(EPSILON, 101, "trained for", ha="center", color="0.4", fontsize="small")
    axes.set(xlabel="how far the attacker moves each pixel", ylim=(0, 100), xlim=(0, 0.205))
    axes.set_xticks([0, 0.05, 0.1, 0.15])
    axes.yaxis.set_major_formatter("{x:g} %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.set_title(f"Test images read right (mean and range of {len(SEEDS)} seeds)", pad=18)
    figure.savefig(OUTPUT / "custom_train_step.png", dpi=120)
    plt.close(figure)


def two_devices():
    """Makes two devices of the processor, for the replicas, unless TensorFlow has started."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    if not tf.config.get_logical_device_configuration(cpu):
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )


def text(value):
    """A number or a word in a cell of a table."""
    return value if isinstance(value, str) else f"{value:.3f}"


def main():
    """Runs all of it and returns the figures it prints."""
    start = time.perf_counter()
    OUTPUT.mkdir(exist_ok=True)
    two_devices()
    digits = load_digits()
    data = train_test_split(
        digits.data.astype("float32") / 16,
        digits.target,
        test_size=600,
        stratify=digits.target,
        random_state=0,
    )
    measured = measure(data[0], data[2])
    table = Table(title="The same algorithm twice", title_justify="left")
    table.add_column("")
    for heading in ("Naive", "Adversarial", "by hand"):
        table.add_column(heading, justify="right")
    for name, values in measured.items():
        table.add_row(name, *map(text, values))
    console.print(table, "")

    found = compare(data)
    console.print()
    at = ATTACKS.index(EPSILON)
    table = Table(title=f"Test images read right, mean of {len(SEEDS)} seeds", title_justify="left")
    table.add_column("training")
    for heading in ("as they are", f"attacked by {EPSILON}"):
        table.add_column(heading, justify="right")
    for cls, rows in found.items():
        table.add_row(cls.__name__, *(f"{100 * rows[:, k].mean():.1f} %" for k in (0, at)))
    console.print(table, "")
    draw(found)

    console.rule("Summary")
    plain, naive, right = (100 * rows[:, at].mean() for rows in found.values())
    console.print(
        f"Of test images that are attacked, the network reads {right:.0f} % after adversarial "
        f"training,\n{plain:.0f} % after plain training, and {naive:.0f} % where the train_step "
        f"is the naive one.\nIn {os.path.relpath(OUTPUT)}: custom_train_step.png. "
        f"Took {time.perf_counter() - start:.0f} s."
    )
    attack = {cls.__name__: rows.mean(axis=0) for cls, rows in found.items()}
    return {"measured": measured, "attacked": attack}


if __name__ == "__main__":
    main()
