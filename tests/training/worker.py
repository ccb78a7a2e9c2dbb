"""One of two worker processes, or one device: `python worker.py OUT [CASE ...]`.

Runs each case and writes what came of it to `OUT-<index of the worker>-<case>.npz`.
"""

import json
import os
import sys
import tempfile

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.training.runs import (
    SAMPLE_WEIGHT,
    X,
    Y,
    batches,
    compiled,
    parts,
    sequential,
    subclassed,
)
from tfk_patterns import models
from tfk_patterns.training import TrainingLoop

INDEX = json.loads(os.environ.get("TF_CONFIG", '{"task": {"index": 0}}'))["task"]["index"]
SGD = keras.optimizers.SGD


class StopOneWorker(keras.callbacks.Callback):
    """The second worker's, or the only one's."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 3 and (INDEX == 1 or "TF_CONFIG" not in os.environ):
            self.model.stop_training = True


def plain(kind=sequential, statistics=False, cls=None, cls_arguments=None, **arguments):
    stack = parts(random=False, statistics=statistics)
    model = kind(cls, stack, **cls_arguments) if cls else kind(stack=stack)
    return compiled(model, **arguments)


def total():
    return plain(optimizer=SGD(0.01), loss=keras.losses.MeanSquaredError(reduction="sum"))


def sharp():
    return plain(cls=models.SharpnessAwareModel, cls_arguments={"rho": 0.2})


def accumulating():
    return plain(cls=models.GradientAccumulationModel, cls_arguments={"steps": 4})


def clipped():
    return plain(optimizer=SGD(0.1, clipnorm=0.1), steps_per_execution=4)


def shuffled(epoch):
    return (
        tf.data.Dataset.from_tensor_slices((X, Y, SAMPLE_WEIGHT)).shuffle(45, seed=epoch).batch(8)
    )


def files():
    folder = tempfile.mkdtemp()
    return [
        keras.callbacks.ModelCheckpoint(os.path.join(folder, "{epoch}.keras")),
        keras.callbacks.CSVLogger(os.path.join(folder, "log.csv")),
        keras.callbacks.EarlyStopping("val_loss", patience=5, restore_best_weights=True),
    ]


# How the model is made; the data; more arguments of `fit`.
CASES = {
    "plain": (plain, batches, {"callbacks": files}),
    "one_sample": (plain, lambda: batches(rows=33), {}),
    "not_built": (lambda: plain(subclassed), batches, {}),
    "statistics": (lambda: plain(statistics=True), lambda: batches(rows=40), {}),
    "total": (total, lambda: batches(rows=40), {}),
    "sharp": (sharp, batches, {}),
    "accumulating": (accumulating, batches, {}),
    "clipped": (clipped, batches, {}),
    "function": (plain, lambda: shuffled, {"epochs": 3}),
    "endless": (plain, lambda: batches().repeat(), {"epochs": 3, "steps_per_epoch": 4}),
    "stopped": (plain, lambda: batches(rows=32), {"callbacks": lambda: [StopOneWorker()]}),
}


def run(case, strategy):
    """The arrays that came of a case."""
    make, data, arguments = CASES[case]
    with strategy.scope():
        keras.utils.set_random_seed(1)
        model = make()
    loop = TrainingLoop(model)
    arguments = {"epochs": 2, "verbose": 2, **arguments}
    arguments["callbacks"] = arguments.get("callbacks", list)()
    keras.utils.set_random_seed(1)
    history = loop.fit(data(), validation_data=batches(rows=21), **arguments).history
    results = loop.evaluate(batches(), verbose=0)
    return {
        **{f"history {name}": np.asarray(values) for name, values in history.items()},
        **{f"result {name}": np.asarray(value) for name, value in results.items()},
        **{f"weight {i}": weight for i, weight in enumerate(model.get_weights())},
        "predictions": loop.predict(batches(rows=21), verbose=0),
    }


def main(out, *cases):
    if "TF_CONFIG" in os.environ:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        strategy = tf.distribute.get_strategy()
    for case in cases:
        np.savez(f"{out}-{INDEX}-{case}.npz", **run(case, strategy))


if __name__ == "__main__":
    if os.environ.get("LOCAL_REPLICAS") == "2":
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
    main(*sys.argv[1:])
