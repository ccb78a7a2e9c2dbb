"""A training run as a process of its own, to be killed at any moment and started again.

`python resumable.py FOLDER SETTING` trains, with its checkpoints in FOLDER, says in FOLDER/events
what it is about to do, and at the end writes FOLDER/result.npz.
"""

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.training.networks import SETTINGS, compiled_model
from tfk_patterns import _keras
from tfk_patterns.training import TrainingLoop

PACE = 0.01  # seconds that each step takes longer: time to be killed in
_DRAWS = np.random.default_rng(0)
X = _DRAWS.normal(size=(60, 6)).astype("float32")
Y = _DRAWS.normal(size=(60, 2)).astype("float32")


def dataset(epoch):
    """Seven batches of 8 samples and one of 4, in another order in each epoch."""
    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(60, seed=epoch).batch(8)


class Telling(keras.callbacks.Callback):
    """Says what happens, one line each, and takes its time."""

    def __init__(self, folder):
        super().__init__()
        self._descriptor = os.open(folder / "events", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tell(self, what):
        os.write(self._descriptor, f"{what}\n".encode())
        time.sleep(PACE)

    def on_train_batch_begin(self, batch, logs=None):
        self.tell("step")

    def on_test_batch_begin(self, batch, logs=None):
        self.tell("validation")

    def on_epoch_end(self, epoch, logs=None):
        self.tell("epoch end")

    def on_train_end(self, logs=None):
        self.tell("end")


def write_slowly(tell):
    """Lets checkpoints be written piece by piece."""
    save, synchronize, replace = np.savez, os.fsync, os.replace

    class Slow:
        def __init__(self, file):
            self.file = file
            self.pieces = 0

        def write(self, data):
            self.pieces += 1
            if self.pieces % 50 == 0:
                self.file.flush()
                tell("writing")
            return self.file.write(data)

        def __getattr__(self, name):
            return getattr(self.file, name)

    def telling(what, function):
        def call(*arguments):
            tell(what)
            function(*arguments)

        return call

    np.savez = lambda file, **arrays: save(Slow(file), **arrays)
    os.fsync = telling("written", synchronize)
    os.replace = telling("renaming", replace)


def results(model, history):
    """All numbers of a trained model, on each replica."""
    groups = [model.variables, *map(_keras.optimizer_variables, _keras.optimizers_of(model))]
    variables = [_keras.tensorflow_variable(one) for group in groups for one in group]
    parts = map(model.distribute_strategy.experimental_local_results, variables)
    arrays = [part.numpy() for local in parts for part in local]
    return {"history": np.array(repr(history)), **{f"v{i}": a for i, a in enumerate(arrays)}}


def main(folder, setting):
    setting = SETTINGS[setting]
    tf.config.experimental.enable_op_determinism()
    model = compiled_model(**setting.get("model", {}))
    telling = Telling(folder)
    telling.tell("ready")
    write_slowly(telling.tell)
    callbacks = [
        keras.callbacks.ReduceLROnPlateau(patience=1, min_delta=0.5, monitor="loss"),
        keras.callbacks.EarlyStopping(patience=3, min_delta=0.02, restore_best_weights=True),
        keras.callbacks.ModelCheckpoint(
            str(folder / "best.weights.h5"), save_best_only=True, save_weights_only=True
        ),
        telling,
    ]
    validation = tf.data.Dataset.from_tensor_slices((X[:20], Y[:20])).batch(8)
    loop = TrainingLoop(model, checkpoint_dir=folder / "checkpoints", **setting.get("loop", {}))
    history = loop.fit(dataset, 8, validation, callbacks, verbose=0).history
    partial = folder / "result.partial"
    with open(partial, "wb") as file:
        np.savez(file, **results(model, history))
    partial.rename(folder / "result.npz")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
