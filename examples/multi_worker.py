"""One model trained by several processes, of which one is killed on the way.

    python examples/multi_worker.py          shows it: starts two workers on this machine
    python examples/multi_worker.py train    is one worker, and starts nothing

The first starts each worker by the second, as you would on several hosts: there, start
`multi_worker.py train` once on each, with `TF_CONFIG` set (examples/README.md has the lines), or
under Slurm with `--slurm`. Without either, `train` is a cluster of one.

What it shows, on two workers: each batch is shared out, and the weights come out the same in both,
bit for bit. The second is killed (SIGKILL) after half of the epochs. A worker cannot be replaced
alone, so the supervisor, `launch`, ends and restarts all, and each goes on from its checkpoints.
Then one process trains on the same batches, and is left alone: it differs by rounding. It is also
the faster, for on one machine two workers only share the processor, and have to talk besides.

The data are scikit-learn's bundled digits (1,797 scans of 8 x 8 pixels, no download). It writes
into `examples/output/`.
"""

import argparse
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
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
from tfk_patterns.training import TrainingLoop, WorkerLostError, connect_workers
from tfk_patterns.training.launch import launch

OUTPUT = pathlib.Path(__file__).parent / "output"
EPOCHS = 8
BATCH_SIZE = 120  # of all workers together; a share of each for 2, 3, 4, 5 or 6 of them
TEST_IMAGES = 357  # which leaves 12 batches
SLURM_PORT = 20000
SEED = 1

tf.get_logger().setLevel("ERROR")  # workers trace many small graphs when they talk
console = Console(width=None if Console().is_terminal else 100)


def load():
    """Images and labels, `(train, test)`."""
    digits = load_digits()
    images, labels = digits.data.astype("float32") / 16, digits.target
    order = np.random.default_rng(SEED).permutation(len(labels))
    return [(images[part], labels[part]) for part in (order[TEST_IMAGES:], order[:TEST_IMAGES])]


def make_model():
    """The network, compiled; always with the same weights."""
    keras.utils.set_random_seed(SEED)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(256, use_bias=False),  # what follows takes the mean out
            layers.BatchNormDropout("relu", rate=0.0, momentum=0.9, synchronized=True),
            layers.L1L2ActivityRegularization(l2=1e-3, warmup_steps=50),
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


class Reporter(keras.callbacks.Callback):
    """Says what a worker has done: on the chief's terminal, and in a file of each worker.

    Args:
        folder: Of the file; `None` for none.
        index: The worker's.
    """

    def __init__(self, folder, index):
        super().__init__()
        self.path = folder and folder / f"worker-{index}.jsonl"
        self.index = index

    def note(self, **facts):
        if self.path:
            with self.path.open("a") as file:
                print(json.dumps({"process": os.getpid(), "time": time.time(), **facts}), file=file)

    def on_train_begin(self, logs=None):
        self.note(epochs=0)

    def on_epoch_end(self, epoch, logs=None):
        self.note(epochs=epoch + 1, loss=logs["loss"])
        if self.index == 0:
            console.print(
                f"  epoch {epoch + 1:>2}: loss {logs['loss']:.4f}, "
                f"{100 * logs['val_accuracy']:.1f} % of the test images right"
            )


def train(folder, epochs, slurm=False):
    """What a worker does, on whatever host; without a cluster, one process.

    Args:
        folder: Where its checkpoints and its result are kept; `None` to keep nothing.
        epochs: How many.
        slurm: Whether Slurm says what the cluster is, and not `TF_CONFIG`.
    """
    resolver = None
    if slurm:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(port_base=SLURM_PORT)
    tf.config.experimental.enable_op_determinism()
    strategy = connect_workers(cluster_resolver=resolver)  # before any tensor
    with strategy.scope():
        model = make_model()
    (images, labels), test = load()

    def batches(epoch):
        data = tf.data.Dataset.from_tensor_slices((images, labels))
        return data.shuffle(len(labels), seed=epoch).batch(BATCH_SIZE)

    loop = TrainingLoop(model, checkpoint_dir=folder and folder / "checkpoints")
    index, workers = loop.workers.index, loop.workers.count
    console.print(f"worker {index} of {workers}, process {os.getpid()}: connected")
    try:
        history = loop.fit(
            batches,
            epochs=epochs,
            validation_data=tf.data.Dataset.from_tensor_slices(test).batch(BATCH_SIZE),
            callbacks=[Reporter(folder, index)],
            verbose=0,
        ).history
    except WorkerLostError as error:
        raise SystemExit(f"worker {index} of {workers}: lost a peer; start all again") from error
    weights = model.get_weights()
    digest = hashlib.sha256(b"".join(weight.tobytes() for weight in weights)).hexdigest()[:16]
    console.print(f"worker {index} of {workers}: done; SHA-256 of its weights: {digest}...")
    if folder:
        np.savez(folder / f"weights-{index}.npz", *weights)
        (folder / f"history-{index}.json").write_text(json.dumps(history))


def notes(folder, index):
    """What a worker has noted so far, over all its processes."""
    path = folder / f"worker-{index}.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def result(folder, index):
    """The history and the weights of a worker."""
    with np.load(folder / f"weights-{index}.npz") as file:
        weights = [file[name] for name in file.files]
    return json.loads((folder / f"history-{index}.json").read_text()), weights


class Killer(threading.Thread):
    """Kills a worker, once, when it has done so many epochs."""

    def __init__(self, folder, index, epochs):
        super().__init__(daemon=True)
        self.folder, self.index, self.epochs = folder, index, epochs

    def run(self):
        while True:
            for note in notes(self.folder, self.index)[-1:]:
                if note["epochs"] >= self.epochs:
                    os.kill(note["process"], signal.SIGKILL)
                    return
            time.sleep(0.01)


def train_here(folder, workers, epochs, kill):
    """Trains in so many workers on this machine; returns when it began, and the seconds."""
    folder.mkdir()
    start = time.time()
    words = [sys.executable, __file__, "train", f"--folder={folder}", f"--epochs={epochs}"]
    if workers == 1:
        subprocess.run(words, check=True)
    else:
        if kill:
            Killer(folder, workers - 1, epochs // 2).start()
        # No time for the others to end by themselves: they can but say that they have lost a peer.
        status = launch(words, workers, grace=0)
        if status:
            raise SystemExit(status)
    return start, time.time() - start


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


def processes(found):
    """The notes of each process of a worker."""
    by_process = {}
    for note in found:
        by_process.setdefault(note["process"], []).append(note)
    return list(by_process.values())


def epoch_seconds(found):
    """The median time of an epoch, its checkpoint included, without those that compile."""
    times = [np.diff([note["time"] for note in part])[1:] for part in processes(found)]
    return float(np.median(np.concatenate(times)))


def draw(runs, starts):
    """Draws the loss of all runs by the epoch, and by the second."""
    import matplotlib.pyplot as plt  # which `train` can do without

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True, layout="constrained")
    styles = {"one process": ("0.75", 6), "together": ("C0", 1.8)}
    for (name, found), start in zip(runs.items(), starts, strict=True):
        colour, width = styles.get(name, styles["together"])
        parts = processes(found)
        for number, part in enumerate(parts):
            rows = [note for note in part if "loss" in note]
            losses = [note["loss"] for note in rows]
            seconds = [note["time"] - start for note in rows]
            for one, x in zip(axes, ([note["epochs"] for note in rows], seconds), strict=True):
                style = {"color": colour, "linewidth": width, "marker": "o", "markersize": width}
                one.plot(x, losses, label=name if number == 0 else None, **style)
                if number + 1 < len(parts):
                    label = "worker killed" if number == 0 else None
                    one.plot(x[-1], losses[-1], "kX", markersize=10, zorder=3, label=label)
                    again = parts[number + 1][1]
                    x_again = again["epochs"] if one is axes[0] else again["time"] - start
                    one.plot([x[-1], x_again], [losses[-1], again["loss"]], ":", color=colour)
    axes[0].set(
        xlabel="epoch", ylabel="training loss", title="By the epoch: the same", yscale="log"
    )
    axes[1].set(xlabel="seconds since the start", title="By the clock: start, kill and restart")
    axes[1].set_xlim(left=0)
    axes[0].yaxis.set_major_locator(plt.LogLocator(subs=(1, 2, 5)))
    axes[0].yaxis.set_major_formatter("{x:g}")
    axes[0].yaxis.set_minor_locator(plt.NullLocator())
    axes[0].legend(frameon=False)
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    figure.savefig(OUTPUT / "multi_worker.png", dpi=120)
    plt.close(figure)


def main(workers=2, epochs=EPOCHS, kill=True):
    """Shows it on this machine, and returns the figures it prints."""
    begin = time.perf_counter()
    OUTPUT.mkdir(exist_ok=True)
    together_name, alone_name = f"{workers} workers", "one process"
    with tempfile.TemporaryDirectory() as folder:
        together, alone = pathlib.Path(folder, "together"), pathlib.Path(folder, "alone")
        console.rule(together_name)
        start_together, seconds_together = train_here(together, workers, epochs, kill)
        console.rule(alone_name)
        start_alone, seconds_alone = train_here(alone, 1, epochs, kill)
        results = [result(together, index) for index in range(workers)]
        by_one = result(alone, 0)
        found = {alone_name: notes(alone, 0), together_name: notes(together, 0)}
    draw(found, (start_alone, start_together))

    agreement = [difference(one, results[0]) for one in results[1:]]
    from_one = difference(results[0], by_one)
    restarts = len(processes(found[together_name])) - 1
    console.rule("Summary")
    table = Table()
    for heading in ("", "loss", "test images right", "an epoch", "in all", "restarts"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, (history, _), seconds, count in (
        (together_name, results[0], seconds_together, restarts),
        (alone_name, by_one, seconds_alone, 0),
    ):
        table.add_row(
            name,
            f"{history['loss'][-1]:.6f}",
            f"{100 * history['val_accuracy'][-1]:.1f} %",
            f"{1000 * epoch_seconds(found[name]):.0f} ms",
            f"{seconds:.1f} s",
            str(count),
        )
    console.print(table)
    same = all(pair == (0, 0) for pair in agreement)
    console.print(
        f"The workers agree bit for bit: {'yes' if same else 'NO'}.\n"
        f"From one process, the history differs by {from_one[0]:.2g}, weights by "
        f"{from_one[1]:.2g}.\n"
        "On one machine workers share its processor, and talk besides: they are no faster.\n"
        f"In {os.path.relpath(OUTPUT)}: multi_worker.png. Took {time.perf_counter() - begin:.0f} s."
    )
    return {"agree": same, "from_one": from_one, "restarts": restarts, "by_one": by_one[0]}


def parse(words=None):
    """The command line."""
    summary, _, details = __doc__.partition("\n")
    parser = argparse.ArgumentParser(
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="to start here (2)")
    parser.add_argument("--no-kill", action="store_true", help="leave the workers alone")
    commands = parser.add_subparsers(dest="command", metavar="train")
    worker = commands.add_parser("train", help="be one worker, and start nothing")
    worker.add_argument("--folder", type=pathlib.Path, help="for checkpoints and results")
    worker.add_argument("--epochs", type=int, default=EPOCHS, metavar="N")
    worker.add_argument("--slurm", action="store_true", help="the cluster is that of srun")
    given = parser.parse_args(words)
    if given.command is None and "TF_CONFIG" in os.environ:
        parser.error("TF_CONFIG says that this is a worker: add `train`, or unset it")
    if given.command is None and given.workers < 2:
        parser.error("--workers must be 2 or more: one is what they are compared with")
    return given


if __name__ == "__main__":
    given = parse()
    if given.command == "train":
        if given.folder:
            given.folder.mkdir(parents=True, exist_ok=True)
        train(given.folder, given.epochs, given.slurm)
    elif not main(given.workers, kill=not given.no_kill)["agree"]:
        raise SystemExit("The workers differ: see above.")
