"""Keras callbacks in a loop: which process runs which, who looks at batches, their files."""

import copy
import os
import tempfile
from pathlib import Path

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _validate
from tfk_patterns.training._agreement import Workers

# What writes to a file, and the attribute with its place.
_WRITERS = {
    keras.callbacks.ModelCheckpoint: "filepath",
    keras.callbacks.CSVLogger: "filename",
    keras.callbacks.TensorBoard: "log_dir",
}


def callback_list(
    model, workers: Workers, callbacks, verbose, **params
) -> keras.callbacks.CallbackList:
    """The callbacks of a run, with a `History`, and a progress bar on the chief alone."""
    _check(callbacks, verbose)
    chief = workers.index == 0
    own = getattr(model, "_own_callbacks", list)()  # of models with an algorithm of their own
    is_list = isinstance(callbacks, keras.callbacks.CallbackList)
    given = callbacks.callbacks if is_list else tf.nest.flatten(callbacks or [])
    for callback in given:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise ValueError(
                "`callbacks` must leave the backup to the loop, by `checkpoint_dir`. Received: "
                f"{callback!r}"
            )
        if not chief:  # before Keras tells them of the model, and they make folders
            _redirect(callback)
    if is_list:
        bar = keras.callbacks.ProgbarLogger
        callbacks = copy.copy(callbacks)
        callbacks.callbacks = [*own, *(c for c in given if chief or not isinstance(c, bar))]
        callbacks.set_model(model)
    else:
        verbose = 1 if verbose == "auto" else int(verbose)
        callbacks = keras.callbacks.CallbackList(
            [*own, *given],
            add_history=True,
            add_progbar=bool(verbose) and chief,
            model=model,
            verbose=verbose,
            **params,
        )
    return callbacks


def _check(callbacks, verbose) -> None:
    if verbose not in ("auto", 0, 1, 2):
        raise _validate.value_error("verbose", "'auto', 0, 1 or 2", verbose)
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return
    for callback in tf.nest.flatten([] if callbacks is None else callbacks):
        if not isinstance(callback, keras.callbacks.Callback):
            raise _validate.type_error("callbacks", "a list of Keras callbacks", callback)


def want_batch_logs(workers: Workers, replicas: int, callbacks: list, kind: str) -> bool:
    """Whether to read the metrics after each call of the step.

    With one replica, always, as in `fit`. To read them over several takes time, so there not where
    no callback of any worker looks.
    """
    if replicas == 1:
        return True
    return workers.any(any(_looks_at_batches(callback, kind) for callback in callbacks))


def _looks_at_batches(callback, kind: str) -> bool:
    if isinstance(callback, keras.callbacks.ModelCheckpoint):
        return callback.save_freq != "epoch"
    if isinstance(callback, keras.callbacks.TensorBoard):
        return callback.update_freq != "epoch"
    hooks = [f"on_{kind}_batch_end"] + ["on_batch_end"] * (kind == "train")
    base = keras.callbacks.Callback
    return any(
        getattr(getattr(callback, hook), "__func__", None) is not getattr(base, hook)
        for hook in hooks
    )


def _redirect(callback) -> None:
    """Lets a worker write to a place of its own what the chief writes.

    It has to go through the motions: reading a variable may need all workers.
    """
    for kind, attribute in _WRITERS.items():
        if isinstance(callback, kind):
            folder = tempfile.TemporaryDirectory()
            callback._folder_of_worker = folder  # which goes when the callback does
            name = os.path.basename(str(getattr(callback, attribute)))
            setattr(callback, attribute, os.path.join(folder.name, name))


def continue_files(callbacks: list, epoch: int) -> None:
    """Lets what is written line by line go on before an epoch, where a kill cut it off."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.CSVLogger):
            callback.append = True
            path = Path(callback.filename)
            if path.exists():
                with path.open(newline="") as file:  # with the ends of lines as they are
                    header, *rows = file.read().splitlines(keepends=True) or [""]
                whole = (row for row in rows if row.endswith("\n"))
                kept = [row for row in whole if int(row.split(callback.sep)[0]) < epoch]
                partial = path.with_name(path.name + ".partial")
                with partial.open("w", newline="") as file:
                    file.write("".join([header, *kept]))
                partial.replace(path)
