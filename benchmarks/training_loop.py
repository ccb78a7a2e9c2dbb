"""What a step of `TrainingLoop` costs beside `fit` and a bare `strategy.run`; and a checkpoint.

Run it on an idle machine: `python benchmarks/training_loop.py [--only NAME] [--json FILE]`. Each
process has one thread. The rows of two workers start two processes on loopback ports.
"""

import functools
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported
os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", OMP_NUM_THREADS="1")

import numpy as np
import tensorflow as tf
from calls import BATCH
from comparisons import Job
from models import NETWORKS
from pairs import Pairs
from rows import main
from tensorflow import keras

from tfk_patterns.training import TrainingLoop, connect_workers
from tfk_patterns.training._checkpoint_files import KEPT, CheckpointFiles
from tfk_patterns.training._training_state import TrainingState
from tfk_patterns.training.launch import launch

STEPS = 100  # of an epoch
TIMED = range(10, 90)  # of them, where only steps are timed
PAIRS = 21
MODES = {
    "graph": {},
    "graph, 10 steps per execution": {"steps_per_execution": 10},
    "XLA": {"jit_compile": True},
}


def compiled(network: str, **mode):
    """A model of a network's layers, and an endless dataset for it."""
    layers, *shapes = NETWORKS[network]
    model = keras.Sequential(layers())
    model.compile("adam", "mse", metrics=["mae"], **mode)
    rng = np.random.default_rng(0)
    data = tuple(tf.constant(rng.normal(size=(BATCH, *shape)), tf.float32) for shape in shapes)
    return model, tf.data.Dataset.from_tensors(data).repeat()


def epoch_of(fit: Callable, dataset) -> Callable:
    """An epoch, as a function that returns nothing to wait for."""

    def run():
        fit(dataset, epochs=1, steps_per_epoch=STEPS, verbose=0)
        return []

    return run


class Timer(keras.callbacks.Callback):
    """Times the steps of an epoch, without what an epoch costs to start."""

    def on_train_batch_begin(self, batch, logs=None):
        if batch == TIMED.start:
            self.start = time.perf_counter()
        elif batch == TIMED.stop:
            self.seconds = time.perf_counter() - self.start


def times_beside_run(network: str, make_strategy: Callable, per_call: int) -> Pairs:
    """Steps of the loop, so many a call, and of a bare `strategy.run`, one a call."""
    with make_strategy().scope():
        ours, dataset = compiled(network, steps_per_execution=per_call)
        peer, _ = compiled(network)
    loop, timer = TrainingLoop(ours), Timer()
    epoch_of(TrainingLoop(peer).fit, dataset)()  # makes all variables
    strategy = peer.distribute_strategy
    iterator = iter(strategy.experimental_distribute_dataset(dataset))
    step = tf.function(lambda: strategy.run(peer.train_step, args=(next(iterator),)))

    def time_ours():
        loop.fit(dataset, steps_per_epoch=STEPS, callbacks=[timer], verbose=0)
        return timer.seconds

    def time_peer():
        for index in range(TIMED.stop):
            if index == TIMED.start:
                start = time.perf_counter()
            step()
        return time.perf_counter() - start

    sides, found = (time_ours, time_peer), Pairs([], [])
    for pair in range(-1, PAIRS):  # the first is to warm up
        order = (0, 1) if pair % 2 else (1, 0)
        for index in order:
            taken = sides[index]() / len(TIMED)
            if pair >= 0:
                found[index].append(taken)
    return found


def beside_fit(network: str, mode: dict) -> tuple[Callable, Callable]:
    """Epochs of the loop, and of `fit`."""
    (ours, dataset), (peer, _) = (compiled(network, **mode) for _ in range(2))
    return epoch_of(TrainingLoop(ours).fit, dataset), epoch_of(peer.fit, dataset)


def two_replicas():
    """A strategy of two replicas on two logical devices of the processor."""
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


def times_on_workers(network: str, per_call: int) -> Pairs:
    """As `times_beside_run`, in two worker processes, as the chief times it."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "pairs.json"
        words = [sys.executable, __file__, "--worker", network, str(per_call), str(result)]
        if launch(words, 2, max_restarts=0):
            raise RuntimeError("a worker failed")
        return Pairs(**json.loads(result.read_text()))


def work(network: str, per_call: str, result: str) -> None:
    """What a worker of `times_on_workers` does."""
    found = times_beside_run(network, connect_workers, int(per_call))
    if json.loads(os.environ["TF_CONFIG"])["task"]["index"] == 0:
        Path(result).write_text(json.dumps(found._asdict()))


def saves() -> tuple[Callable, Callable]:
    """A checkpoint of the loop, and one of TensorFlow's own of the same variables."""
    folder = tempfile.TemporaryDirectory()
    model, dataset = compiled("two dense layers of 512")
    TrainingLoop(model).fit(dataset.take(1), verbose=0)  # makes all variables
    files = CheckpointFiles(f"{folder.name}/ours")
    state = TrainingState(model)
    keys = itertools.count()
    variables = [tf.Variable(value) for value in state.values().values()]
    theirs = tf.train.Checkpoint(variables=variables)
    manager = tf.train.CheckpointManager(theirs, f"{folder.name}/theirs", max_to_keep=KEPT)

    def save_ours(_=folder):  # which goes with this function
        files.write((0, next(keys)), state.values(), {})
        return []

    return save_ours, lambda: manager.save() and []


def jobs() -> Iterator[Job]:
    """All rows."""
    for network in NETWORKS:
        for mode, arguments in MODES.items():
            name = f"beside fit, {mode}, {network}, batch {BATCH}"
            made = functools.partial(beside_fit, network, arguments)
            yield Job("beside fit", name, 1.03, made)
    yield Job("a checkpoint", "a checkpoint of 6 MB, beside tf.train.CheckpointManager", 1.0, saves)
    sides = {
        "two replicas": functools.partial(times_beside_run, make_strategy=two_replicas),
        "two workers": times_on_workers,
    }
    for where, times in sides.items():
        for per_call in (1, 10):
            group = f"beside strategy.run, {where}, {per_call} steps a call"
            for network in NETWORKS:
                made = functools.partial(times, network, per_call=per_call)
                yield Job(group, f"{group}, {network}, batch {BATCH}", 1.02, made)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(*sys.argv[2:])
    else:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
        main(__doc__, jobs())
