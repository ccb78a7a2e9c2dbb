"""What a step of `TrainingLoop` costs beside `fit` and a bare `strategy.run`; and a checkpoint.

Run it on an idle machine: `python benchmarks/training_loop.py [--only NAME] [--json FILE]`. Each
process has one thread. The rows of two workers start two processes on loopback ports.
"""

import functools
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported
os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", OMP_NUM_THREADS="1")

import numpy as np
import tensorflow as tf
from calls import BATCH
from comparisons import Job
from models import NETWORKS
from pairs import Pairs, seconds
from rows import main
from tensorflow import keras

from tfk_patterns.training import TrainingLoop, connect_workers
from tfk_patterns.training._checkpoint_files import KEPT, CheckpointFiles
from tfk_patterns.training._training_state import TrainingState

STEPS = 100  # of an epoch
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


def epoch_of_run(model, dataset) -> Callable:
    """As many steps of the model's `train_step` by `strategy.run`, and nothing else."""
    strategy = model.distribute_strategy
    iterator = iter(strategy.experimental_distribute_dataset(dataset))
    step = tf.function(lambda: strategy.run(model.train_step, args=(next(iterator),)))

    def run():
        for _ in range(STEPS):
            step()
        return []

    return run


def beside_fit(network: str, mode: dict) -> tuple[Callable, Callable]:
    """Epochs of the loop, and of `fit`."""
    (ours, dataset), (peer, _) = (compiled(network, **mode) for _ in range(2))
    return epoch_of(TrainingLoop(ours).fit, dataset), epoch_of(peer.fit, dataset)


def beside_run(network: str, make_strategy: Callable) -> tuple[Callable, Callable]:
    """Epochs of the loop, and of the bare `strategy.run`, under a strategy."""
    with make_strategy().scope():
        (ours, dataset), (peer, _) = (compiled(network) for _ in range(2))
        epoch_of(TrainingLoop(peer).fit, dataset)()  # makes all variables
        return epoch_of(TrainingLoop(ours).fit, dataset), epoch_of_run(peer, dataset)


def two_replicas():
    """A strategy of two replicas on two logical devices of the processor."""
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


def beside_run_on_workers(network: str) -> Pairs:
    """What `beside_run` compares, in two worker processes, as the chief times it."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "pairs.json"
        launched = [sys.executable, "-m", "tfk_patterns.training.launch", "--workers", "2"]
        subprocess.run([*launched, __file__, "--worker", network, str(result)], check=True)
        return Pairs(**json.loads(result.read_text()))


def work(network: str, result: str) -> None:
    """A worker's part of `beside_run_on_workers`: all must take the same steps."""
    sides = beside_run(network, connect_workers)
    for side in sides:
        seconds(side, 1)  # compiles
    times = [[], []]
    for pair in range(PAIRS):
        order = (0, 1) if pair % 2 else (1, 0)
        for side in order:
            times[side].append(seconds(sides[side], 1))
    if json.loads(os.environ["TF_CONFIG"])["task"]["index"] == 0:
        Path(result).write_text(json.dumps(dict(zip(Pairs._fields, times, strict=True))))


def saves() -> tuple[Callable, Callable]:
    """An epoch of one step with a checkpoint; what TensorFlow's own takes besides that step."""
    folder = tempfile.mkdtemp()
    model, dataset = compiled("two dense layers of 512")
    TrainingLoop(model).fit(dataset.take(1), verbose=0)  # makes all variables
    files = CheckpointFiles(f"{folder}/ours")
    state = TrainingState(model)
    keys = itertools.count()
    variables = [tf.Variable(value) for value in state.values().values()]
    theirs = tf.train.Checkpoint(variables=variables)
    manager = tf.train.CheckpointManager(theirs, f"{folder}/theirs", max_to_keep=KEPT)
    return (
        lambda: files.write((0, next(keys)), state.values(), {}) or [],
        lambda: manager.save() and [],
    )


def jobs() -> Iterator[Job]:
    """All rows."""
    for network in NETWORKS:
        for mode, arguments in MODES.items():
            name = f"beside fit, {mode}, {network}, batch {BATCH}"
            made = functools.partial(beside_fit, network, arguments)
            yield Job("beside fit", name, 1.03, made)
    yield Job("a checkpoint", "a checkpoint of 6 MB, beside tf.train.CheckpointManager", 1.0, saves)
    for network in NETWORKS:
        name = f"beside strategy.run, two replicas, {network}, batch {BATCH}"
        made = functools.partial(beside_run, network, two_replicas)
        yield Job("beside strategy.run, two replicas", name, 1.02, made)
    for network in NETWORKS:
        name = f"beside strategy.run, two workers, {network}, batch {BATCH}"
        made = functools.partial(beside_run_on_workers, network)
        yield Job("beside strategy.run, two workers", name, 1.02, made)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(*sys.argv[2:])
    else:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
        main(__doc__, jobs())
