"""The explicit training loop, on any strategy."""

import contextlib
from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, _validate
from tfk_patterns.training._agreement import Workers
from tfk_patterns.training._batches import Batches, validation_batches
from tfk_patterns.training._building import build, check_model
from tfk_patterns.training._callbacks import callback_list, want_batch_logs
from tfk_patterns.training._checkpoints import (
    Place,
    check_checkpoint_arguments,
    checkpoints_of,
)
from tfk_patterns.training._executions import (
    metrics_function,
    predict_function,
    test_function,
    train_function,
)
from tfk_patterns.training._results import joined, logs_of_epoch

_STOP = {"train": "stop_training", "test": "stop_evaluating", "predict": "stop_predicting"}


class TrainingLoop:
    """Trains a compiled model as `fit` does, on one device, many, and many machines.

    The loop of the talk (forward pass, loss with what layers add, gradients, update, over the
    batches of each epoch), under whatever strategy the model was made in: none,
    `OneDeviceStrategy`, `MirroredStrategy`, `MultiWorkerMirroredStrategy`, for which Keras 3 has no
    `fit`. On one device it gives what `model.fit` gives, to the bit. On several replicas each
    batch of the data is shared out evenly, and weights, losses and metrics are those of one device
    up to rounding, though a share has a sample less; layers that synchronise statistics over
    replicas are exact where a batch can be shared out equally. A loss that is divided by something
    else than the number of samples (by the steps of a mask on the outputs, by the sum of the
    weights as with `reduction="mean_with_sample_weight"`) is, on each replica, by the replica's. A
    model's own `train_step` and `test_step` are used; how they treat replicas is theirs.

    The step is compiled, as `compile` was told to: `run_eagerly`, `jit_compile`, and
    `steps_per_execution` steps a call. `strategy.scope()` is entered by the loop.

    With `checkpoint_dir` a run can be killed at any moment and started again by the same command:
    it goes on from its last checkpoint, and on CPU, with
    `tf.config.experimental.enable_op_determinism()`, ends with the weights and the history of a run
    without a kill, to the bit. A checkpoint holds the variables of model, optimizers and metrics on
    each replica, random state included, the place in the data and what callbacks remember; three
    are kept. It holds no random state that is in no variable, as that of `tf.random.normal` and of
    the `Dropout` of Keras 2: a warning says so. The data must be the same again; that they are
    without chance is checked at the start, not that they are those of the run in the folder. One
    folder is for one run: `fit` with more epochs goes on with it, unless a callback has stopped it.
    Files that callbacks write are their own, except that a `CSVLogger` goes on with its file.

    Which of the workers this process is, `loop.workers.index` says, of `loop.workers.count`. Each
    reads all of the data, and takes its share of each batch; where that is too much, a
    `tf.distribute.DistributedDataset` has what its maker gives each worker.

    Args:
        model: A compiled `keras.Model`.
        checkpoint_dir: A folder for checkpoints; `None` for none. With several workers each has a
            folder in it, on a disk of its own or on one that they share.
        save_freq: When one is written: `"epoch"`, at the end of each epoch, or a number of steps,
            and then at the end of each epoch as well.

    Raises:
        TypeError: `model` is no model, or `save_freq` no integer.
        ValueError: `model` is not compiled, or one of a `ParameterServerStrategy`.

    Example:

    >>> import tensorflow as tf
    >>> from tensorflow import keras
    >>> import tfk_patterns
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, None, False, "ones")])
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> data = tf.data.Dataset.from_tensor_slices(([[1.0, 0.0]], [[0.0]])).batch(1)
    >>> loop = tfk_patterns.training.TrainingLoop(model)
    >>> [round(loss, 4) for loss in loop.fit(data, epochs=2, verbose=0).history["loss"]]
    [1.0, 0.64]
    """

    def __init__(self, model, *, checkpoint_dir=None, save_freq: str | int = "epoch"):
        check_checkpoint_arguments(checkpoint_dir, save_freq)
        self.model = check_model(model)
        self.strategy = model.distribute_strategy
        self.workers = Workers(self.strategy)
        self.checkpoint_dir = checkpoint_dir
        self.save_freq = save_freq
        self._functions = {}

    def fit(
        self,
        dataset,
        epochs: int = 1,
        validation_data=None,
        callbacks=None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        verbose: str | int = "auto",
    ) -> keras.callbacks.History:
        """Trains the model for some epochs; as `keras.Model.fit`, with a dataset.

        Args:
            dataset: The training data: a `tf.data.Dataset` of batches `(x,)`, `(x, y)` or
                `(x, y, sample_weight)`, the whole batches that all replicas share; or a function of
                the epoch, an integer, that makes one; or a `tf.distribute.DistributedDataset`.
                Class weights are sample weights: `map` makes them.
            epochs: The epoch to stop before.
            validation_data: Data to evaluate after each epoch, likewise.
            callbacks: Keras callbacks. With several workers each runs them, and they must come to
                the same decisions; `ModelCheckpoint`, `CSVLogger` and `TensorBoard` write on the
                chief alone. There, `stop_training` takes effect at the end of the epoch.
            initial_epoch: The first epoch.
            steps_per_epoch: The batches of an epoch; `None` for all of the dataset. With it, an
                epoch goes on in the dataset where the last one ended, and at its end starts again.
            validation_steps: How many batches of `validation_data` to take; `None` for all.
            verbose: `"auto"` or 1 for a progress bar, shown by the chief; 2 for a line an epoch;
                0 for nothing.

        Returns:
            The `History`; after a restart, with the epochs before it.

        Raises:
            OSError: A checkpoint could not be written; those before it are whole.
            RuntimeError: Another run has `checkpoint_dir`; as `WorkerLostError`, another worker has
                been lost.
            TypeError: The data is something else.
            ValueError: There are no batches, or no end to them; with `checkpoint_dir`: the data
                would not be the same again, or the checkpoint there is damaged, or of another
                model or run.
        """
        model, strategy = self.model, self.strategy
        epochs = _validate.non_negative_integer("epochs", epochs)
        initial_epoch = _validate.non_negative_integer("initial_epoch", initial_epoch)
        if validation_steps is not None and validation_data is None:
            raise ValueError(
                "`validation_data` must be given with `validation_steps`. Received: "
                f"validation_data=None, validation_steps={validation_steps}"
            )
        data = Batches("dataset", strategy, dataset, steps_per_epoch, initial_epoch)
        validation = None
        if validation_data is not None:
            validation = validation_batches(
                strategy, validation_data, validation_steps, initial_epoch
            )
        with self._session() as session, _keras.compiled_trainable_state(model):
            build(model, data.spec(initial_epoch), self.checkpoint_dir is not None)
            train, test = self._compiled(train_function), self._compiled(test_function)
            metrics = self._compiled(metrics_function)
            callbacks = self._callbacks(callbacks, verbose, data, initial_epoch, epochs)
            checkpoints = checkpoints_of(self, callbacks, (train, test), data, validation)
            session.callback(checkpoints.close)
            model.stop_training = False
            _keras.reset_step_counter(model, "train")
            callbacks.on_train_begin()
            place = checkpoints.restore(Place(initial_epoch))
            if verbose and place != Place(initial_epoch) and self.workers.index == 0:
                stopped = ", where a callback stopped the run" if place.stopped else ""
                done = f"epochs done {place.epoch}, steps {place.step}{stopped}"
                print(f"Going on from a checkpoint: {done}.")
            while place.epoch < epochs and not place.stopped:
                if place.step == 0:
                    model.reset_metrics()
                    callbacks.on_epoch_begin(place.epoch)
                start = place
                for place in self._steps("train", train, data, start, callbacks):
                    checkpoints.save_if_due(place)
                logs = logs_of_epoch(place.logs, metrics)
                if validation is not None:
                    results = self._evaluate(validation, place.epoch, callbacks)
                    logs.update({f"val_{name}": value for name, value in results.items()})
                callbacks.on_epoch_end(place.epoch, logs)
                stopped = self.workers.any(model.stop_training)
                place = Place(place.epoch + 1, logs=logs, stopped=stopped)
                checkpoints.save(place)
            averages = hasattr(model.optimizer, "finalize_variable_values")
            if averages and place != Place(initial_epoch):
                model.optimizer.finalize_variable_values(model.trainable_weights)
            callbacks.on_train_end(place.logs)
        return model.history

    def _steps(self, kind: str, function, data, place, callbacks):
        """Calls a function for what is left of an epoch's batches: the places it comes to."""
        on_begin = getattr(callbacks, f"on_{kind}_batch_begin")
        on_end = getattr(callbacks, f"on_{kind}_batch_end")
        replicas = self.strategy.num_replicas_in_sync
        with_logs = want_batch_logs(self.workers, replicas, callbacks.callbacks, kind)
        epoch, step, last = place.epoch, place.step, data.steps(place.epoch)
        stride = 1 if kind == "predict" else _keras.steps_per_execution(self.model)
        from_iterator = data.has_known_end(epoch)
        if kind == "predict":
            from_iterator = from_iterator and not _keras.PREDICTS_ON_BATCHES
        if step and self._stops(kind):  # which a callback had said before a kill
            return
        iterator = data.iterator(epoch, step)
        while last is None or step < last:
            on_begin(step)
            try:
                if from_iterator:
                    taken = min(stride, last - step)
                    logs = function(iterator, tf.constant(taken), with_logs)
                else:
                    taken = 1
                    logs = function(next(iterator), None, with_logs)
            except (StopIteration, tf.errors.OutOfRangeError):
                break
            step += taken
            on_end(step - 1, logs)
            yield Place(epoch, step, logs)
            if self._stops(kind):
                break
        if step == 0:
            raise ValueError(f"`{data.name}` must have batches. Received: none in epoch {epoch}")

    def evaluate(self, dataset, steps: int | None = None, callbacks=None, verbose="auto") -> dict:
        """The loss and the metrics on some data; as `keras.Model.evaluate`.

        Args:
            dataset: The data, as for `fit`.
            steps: How many batches to take; `None` for all.
            callbacks: Keras callbacks.
            verbose: As for `fit`.

        Returns:
            The results by name, over all replicas.
        """
        data = validation_batches(self.strategy, dataset, steps, name="dataset")
        with self._session():
            build(self.model, data.spec(0))
            return self._evaluate(data, 0, self._callbacks(callbacks, verbose, data))

    def _evaluate(self, data, epoch: int, callbacks) -> dict[str, Any]:
        test, metrics = self._compiled(test_function), self._compiled(metrics_function)
        self.model.stop_evaluating = False
        self.model.reset_metrics()
        _keras.reset_step_counter(self.model, "test")
        callbacks.on_test_begin()
        for place in self._steps("test", test, data, Place(epoch), callbacks):
            logs = place.logs
        logs = logs_of_epoch(logs, metrics)
        callbacks.on_test_end(logs)
        return logs

    def predict(self, dataset, steps: int | None = None, callbacks=None, verbose="auto"):
        """The model's outputs on some data; as `keras.Model.predict`.

        Args:
            dataset: The inputs, as for `fit`.
            steps: How many batches to take; `None` for all.
            callbacks: Keras callbacks.
            verbose: As for `fit`.

        Returns:
            The outputs for all samples in their order, as NumPy arrays, on each worker.
        """
        data = validation_batches(self.strategy, dataset, steps, name="dataset")
        with self._session():
            callbacks = self._callbacks(callbacks, verbose, data)
            predict = self._compiled(predict_function)
            self.model.stop_predicting = False
            _keras.reset_step_counter(self.model, "predict")
            callbacks.on_predict_begin()
            places = self._steps("predict", predict, data, Place(0), callbacks)
            outputs = [place.logs["outputs"] for place in places]
            callbacks.on_predict_end()
        return joined(outputs)

    def _stops(self, kind: str) -> bool:
        """Whether to stop at once; several workers first ask each other, at the epoch's end."""
        return self.workers.count == 1 and getattr(self.model, _STOP[kind], False)

    @contextlib.contextmanager
    def _session(self):
        with self.strategy.scope(), self.workers.named_when_lost(), contextlib.ExitStack() as stack:
            yield stack

    def _callbacks(self, callbacks, verbose, data, epoch=0, epochs=1):
        steps = data.steps(epoch)
        return callback_list(
            self.model, self.workers, callbacks, verbose, epochs=epochs, steps=steps
        )

    def _compiled(self, make):
        """What `make` makes of the model: once, as long as it is not compiled anew."""
        self.model.make_train_function()  # which also looks at what `compile` was given
        key = make, self.model.train_function
        if key not in self._functions:
            self._functions = {k: f for k, f in self._functions.items() if k[1] is key[1]}
            self._functions[key] = make(self.model)
        return self._functions[key]
