"""The training loop written out, the same as one call, and killed three times on the way.

Run it with `python examples/custom_training_loop.py`; it writes into `examples/output/`.

`train_by_hand` is the loop that `fit` hides: forward pass, loss with what layers add to it,
gradients, update, over the batches of each epoch, and metrics. It serves one device and forgets
everything when the process ends. `TrainingLoop` is that loop for any strategy, with callbacks,
validation and checkpoints. Here are

1. the loop by hand, `TrainingLoop(model).fit` and `model.fit`, on the same batches;
2. a process that is killed (SIGKILL) three times in training and started again by the same command,
   beside one that is left alone; `python examples/custom_training_loop.py train FOLDER` is that
   command, to try it yourself;
3. two replicas, on two devices of the processor, beside one.

The data are scikit-learn's bundled digits (1,797 scans of 8 x 8 pixels, no download). The network
has what a checkpoint easily forgets: dropout, whose random state goes on, moving statistics, and a
penalty that counts the steps of its warm-up.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # only errors from TensorFlow's C++ side
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from tensorflow import keras

from tfk_patterns import layers
from tfk_patterns.training import TrainingLoop

OUTPUT = pathlib.Path(__file__).parent / "output"
EPOCHS = 10
BATCH_SIZE = 64
SAVE_FREQ = 10  # a checkpoint after so many steps
KILLS = (0.2, 0.45, 0.75)  # as shares of all steps
SEED = 1

tf.get_logger().setLevel("ERROR")  # each model makes a graph, as it should
console = Console(width=None if Console().is_terminal else 100)

digits = load_digits()
IMAGES, LABELS = digits.data.astype("float32") / 16, digits.target
STEPS_PER_EPOCH = -(-len(LABELS) // BATCH_SIZE)


def batches(epoch):
    """The batches of an epoch, in an order that depends on the epoch alone."""
    data = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    return data.shuffle(len(LABELS), seed=epoch).batch(BATCH_SIZE)


def make_model(rate=0.3):
    """The network, compiled; always with the same weights."""
    keras.utils.set_random_seed(SEED)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(128, use_bias=False),  # what follows takes the mean out
            layers.BatchNormDropout("relu", rate=rate, momentum=0.9, synchronized=True, seed=1),
            layers.L1L2ActivityRegularization(l2=1e-3, warmup_steps=100),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.003),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,  # XLA rounds otherwise
    )
    return model


def train_by_hand(model, epochs):
    """The loop itself, and its history."""
    optimizer = model.optimizer
    loss_metric, accuracy = keras.metrics.Mean(), keras.metrics.SparseCategoricalAccuracy()

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            loss = model.loss(y, outputs) + sum(model.losses)  # which layers have added
        gradients = tape.gradient(loss, model.trainable_weights)
        optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        loss_metric.update_state(loss, sample_weight=tf.shape(x)[0])
        accuracy.update_state(y, outputs)

    history = {"loss": [], "accuracy": []}
    for epoch in range(epochs):
        for metric in (loss_metric, accuracy):
            metric.reset_state()
        for x, y in batches(epoch):
            step(x, y)
        history["loss"].append(float(loss_metric.result()))
        history["accuracy"].append(float(accuracy.result()))
    return history


def train_by_loop(model, epochs):
    """The same in one line."""
    return TrainingLoop(model).fit(batches, epochs=epochs, verbose=0).history


def train_by_fit(model, epochs):
    """The same with Keras, which takes no function of the epoch: all epochs in one dataset."""
    data = batches(0)
    for epoch in range(1, epochs):
        data = data.concatenate(batches(epoch))
    history = model.fit(
        data, epochs=epochs, steps_per_epoch=STEPS_PER_EPOCH, shuffle=False, verbose=0
    )
    return history.history


def train_on_two_replicas(epochs):
    """A model without dropout, on two replicas and on one: `[(history, weights), ...]`."""
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    with strategy.scope():
        on_two = make_model(rate=0.0)  # each replica would drop units of its own
    models = (on_two, make_model(rate=0.0))
    return [(train_by_loop(model, epochs), model.get_weights()) for model in models]


LOOP, HAND, FIT = "TrainingLoop(model).fit", "by hand", "model.fit"
WAYS = {LOOP: train_by_loop, HAND: train_by_hand, FIT: train_by_fit}


class Reporter(keras.callbacks.Callback):
    """Prints a line for each step: the step, and the mean loss of the epoch so far."""

    def on_train_batch_end(self, batch, logs=None):
        print(int(self.model.optimizer.iterations.numpy()), logs["loss"], flush=True)


def train(folder, epochs):
    """What the processes of the second part do: all that a kill must not change."""
    tf.config.experimental.enable_op_determinism()
    model = make_model()
    loop = TrainingLoop(model, checkpoint_dir=folder / "checkpoints", save_freq=SAVE_FREQ)
    history = loop.fit(batches, epochs=epochs, callbacks=[Reporter()], verbose=0).history
    np.savez(folder / "weights.npz", *model.get_weights())
    (folder / "history.json").write_text(json.dumps(history))


class Run:
    """A process that trains into a folder, and what it reports.

    Args:
        folder: Where its checkpoints and its result are.
        epochs: How many.
        kill_at: The step at which it is killed; `None` to leave it alone.
    """

    def __init__(self, folder, epochs, kill_at=None):
        folder.mkdir(exist_ok=True)
        self.steps, self.losses = [], []
        self._kill_at = kill_at
        self._errors = folder / "errors.txt"
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, __file__, "train", str(folder), f"--epochs={epochs}"],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def wait(self):
        """Reads what it prints to the end, and kills it when its time has come."""
        for line in self._process.stdout:  # which may be a step or two further
            if not line.endswith("\n"):
                break  # cut short by the kill
            step, loss = line.split()
            self.steps.append(int(step))
            self.losses.append(float(loss))
            if self._kill_at is not None and self.steps[-1] >= self._kill_at:
                self._process.send_signal(signal.SIGKILL)
        self.status = self._process.wait()
        if self.status not in (0, -signal.SIGKILL):
            raise RuntimeError(f"status {self.status}:\n{self._errors.read_text()}")


def train_and_kill(folder, epochs):
    """The run that is left alone, and the processes of the one that is killed."""
    alone = Run(folder / "alone", epochs)  # at the same time
    runs = []
    for kill_at in (*(int(kill * epochs * STEPS_PER_EPOCH) for kill in KILLS), None):
        runs.append(Run(folder / "killed", epochs, kill_at))
        runs[-1].wait()
        first, last = runs[-1].steps[0], runs[-1].steps[-1]
        ending = "the end" if runs[-1].status == 0 else f"{last}, where it was killed"
        console.print(f"Process {len(runs)}: steps {first} to {ending}.")
        if runs[-1].status == 0:
            break
    console.print()
    alone.wait()
    return alone, runs


def result(folder):
    """The history and the weights that `train` has left in a folder."""
    with np.load(folder / "weights.npz") as file:
        weights = [file[name] for name in file.files]
    return json.loads((folder / "history.json").read_text()), weights


def difference(one, other):
    """The largest difference of two trainings: `(in the history, in the weights)`."""
    (history, weights), (other_history, other_weights) = one, other
    return (
        largest([history[key] for key in other_history], other_history.values()),
        largest(weights, other_weights),
    )


def largest(values, others):
    """The largest difference between arrays."""
    pairs = zip(values, others, strict=True)
    return max(float(np.max(np.abs(np.subtract(*pair)))) for pair in pairs)


def times(count):
    """How often, in a word."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def draw(alone, runs):
    """Draws the loss of both runs by the step, and which steps each process did."""
    import matplotlib.pyplot as plt  # which `train` can do without

    figure, (above, below) = plt.subplots(
        2, 1, figsize=(9, 5.6), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    above.plot(alone.steps, alone.losses, color="0.8", linewidth=6, label="left alone")
    for number, run in enumerate(runs, 1):
        colour = f"C{number - 1}"
        above.plot(run.steps, run.losses, color=colour, linewidth=1.5, label=f"process {number}")
        first, last = run.steps[0] - 1, run.steps[-1]
        below.barh(number, last - first, left=first, height=0.6, color=colour)
        if number < len(runs):
            above.plot(last, run.losses[-1], "kX", markersize=9, label="killed" * (number == 1))
            below.plot(last, number, "kX", markersize=9)
            again = last - runs[number].steps[0] + 1
            below.annotate(
                f"killed in step {last}; {again} done again" if again else f"killed in step {last}",
                (last, number),
                xytext=(9, 0),
                textcoords="offset points",
                va="center",
                fontsize="small",
            )
    above.set(yscale="log", ylabel="mean loss of the epoch so far")
    above.yaxis.set_major_locator(plt.LogLocator(subs=(1, 2, 5)))
    above.yaxis.set_major_formatter("{x:g}")
    above.yaxis.set_minor_locator(plt.NullLocator())
    above.set_title(
        f"Killed {times(len(runs) - 1)} and started again, on top of the run that was left alone"
    )
    above.legend(frameon=False)
    below.set(xlabel="step", ylabel="process", yticks=range(1, len(runs) + 1))
    below.invert_yaxis()
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(0, alone.steps[-1] + 1)
    figure.savefig(OUTPUT / "custom_training_loop.png", dpi=120)
    plt.close(figure)


def two_devices():
    """Makes two devices of the processor, for the replicas, unless TensorFlow has started."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    if not tf.config.get_logical_device_configuration(cpu):
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )


def main():
    """Runs all of it and returns the figures it prints."""
    start = time.perf_counter()
    OUTPUT.mkdir(exist_ok=True)
    two_devices()
    found = {}
    for name, way in WAYS.items():
        model = make_model()
        found[name] = way(model, EPOCHS), model.get_weights()
    differences = {name: difference(one, found[LOOP]) for name, one in found.items()}
    table = Table(
        title=f"The same {EPOCHS} epochs of {STEPS_PER_EPOCH} steps", title_justify="left"
    )
    table.add_column("training")
    for heading in ("loss", "accuracy", "history differs by", "weights by"):
        table.add_column(heading, justify="right")
    for name, (history, _) in found.items():
        cells = [f"{history[key][-1]:.6f}" for key in ("loss", "accuracy")]
        table.add_row(name, *cells, *(f"{value:g}" for value in differences[name]))
    console.print(table, "")

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        alone, runs = train_and_kill(folder, EPOCHS)
        differences["killed"] = difference(result(folder / "killed"), result(folder / "alone"))
    draw(alone, runs)

    on_two, on_one = train_on_two_replicas(EPOCHS)
    differences["two replicas"] = difference(on_two, on_one)

    console.rule("Summary")
    what = {
        HAND: "By hand and by TrainingLoop",
        FIT: "By model.fit and by TrainingLoop",
        "killed": f"Killed {times(len(runs) - 1)} and left alone",
        "two replicas": "On two replicas and on one",
    }
    for name, words in what.items():
        history, weights = differences[name]
        console.print(f"{words}: the history differs by {history:.2g}, weights by {weights:.2g}.")
    console.print(
        f"In {os.path.relpath(OUTPUT)}: custom_training_loop.png. "
        f"Took {time.perf_counter() - start:.0f} s."
    )
    return {"differences": differences, "runs": runs}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", metavar="train")
    trainer = commands.add_parser("train", help="only train, into a folder, and report each step")
    trainer.add_argument("folder", type=pathlib.Path)
    trainer.add_argument("--epochs", type=int, default=EPOCHS)
    given = parser.parse_args()
    if given.command == "train":
        given.folder.mkdir(parents=True, exist_ok=True)
        train(given.folder, given.epochs)
    else:
        main()
