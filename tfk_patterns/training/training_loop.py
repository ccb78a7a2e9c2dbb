"""The explicit training loop, on any strategy."""

from typing import Any

from tensorflow import keras

from tfk_patterns import _keras, _validate
from tfk_patterns.training._batches import Batches, validation_batches
from tfk_patterns.training._building import build, check_model
from tfk_patterns.training._callbacks import callback_list
from tfk_patterns.training._checkpoints import Place, checkpoints_of
from tfk_patterns.training._executions import predict_function, test_function, train_function
from tfk_patterns.training._results import joined, numbers
from tfk_patterns.training._workers import any_worker, worker_count


class TrainingLoop:
    """Trains a compiled model as `fit` does, wherever it was made."""

    def __init__(self, model, *, checkpoint_dir=None, save_freq: str | int = "epoch"):
        if save_freq != "epoch":
            _validate.integer("save_freq", save_freq, "'epoch' or a number of steps")
            _validate.positive_integer("save_freq", save_freq)
        self.model = check_model(model)
        self.strategy = model.distribute_strategy
        self.checkpoint_dir = checkpoint_dir
        self.save_freq = save_freq
        self._functions = {}

    @property
    def _stride(self) -> int:
        return _keras.steps_per_execution(self.model)

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
        """Trains the model."""
        model, strategy = self.model, self.strategy
        data = Batches("dataset", strategy, dataset, steps_per_epoch, initial_epoch)
        validation = None
        if validation_data is not None:
            validation = validation_batches(strategy, validation_data, validation_steps)
        with strategy.scope(), _keras.compiled_trainable_state(model):
            build(model, data.spec(initial_epoch))
            train, test = self._compiled(train_function), self._compiled(test_function)
            steps = data.steps(initial_epoch)
            callbacks = callback_list(model, callbacks, verbose, epochs=epochs, steps=steps)
            model.stop_training = False
            callbacks.on_train_begin()
            checkpoints = checkpoints_of(self, callbacks, train, data, validation)
            place = checkpoints.restore(Place(initial_epoch))
            while place.epoch < epochs and not place.stopped:
                if place.step == 0:
                    model.reset_metrics()
                callbacks.on_epoch_begin(place.epoch)
                start = place
                for place in self._train_epoch(train, data, start, callbacks):
                    checkpoints.save_if_due(place)
                logs = numbers(place.logs)
                if validation is not None:
                    results = self._evaluate(test, validation, place.epoch, callbacks)
                    logs.update({f"val_{name}": value for name, value in results.items()})
                callbacks.on_epoch_end(place.epoch, logs)
                stopped = any_worker(strategy, model.stop_training)
                place = Place(place.epoch + 1, logs=logs, stopped=stopped)
                checkpoints.save(place)
            if hasattr(model.optimizer, "finalize_variable_values"):  # where it averages them
                model.optimizer.finalize_variable_values(model.trainable_weights)
            callbacks.on_train_end(place.logs)
        return model.history

    def _train_epoch(self, train, data, place, callbacks):
        """Runs what is left of an epoch; after each call of the step, the place."""
        epoch, stops_at_once = place.epoch, worker_count(self.strategy) == 1
        steps = data.calls(train, epoch, place.step, self._stride, callbacks.on_train_batch_begin)
        for step, logs in steps:
            callbacks.on_train_batch_end(step - 1, logs)
            place = Place(epoch, step, logs)
            yield place
            if self.model.stop_training and stops_at_once:
                break

    def evaluate(self, dataset, steps: int | None = None, callbacks=None, verbose="auto") -> dict:
        """The loss and the metrics."""
        model = self.model
        data = validation_batches(self.strategy, dataset, steps, name="dataset")
        with self.strategy.scope():
            build(model, data.spec(0))
            callbacks = callback_list(model, callbacks, verbose, steps=data.steps(0))
            return self._evaluate(self._compiled(test_function), data, 0, callbacks)

    def _evaluate(self, test, data, epoch, callbacks) -> dict[str, Any]:
        self.model.reset_metrics()
        callbacks.on_test_begin()
        logs = {}
        for step, logs in data.calls(test, epoch, 0, self._stride, callbacks.on_test_batch_begin):
            callbacks.on_test_batch_end(step - 1, logs)
        logs = numbers(logs)
        callbacks.on_test_end(logs)
        return logs

    def predict(self, dataset, steps: int | None = None, callbacks=None, verbose="auto"):
        """The outputs."""
        model = self.model
        data = validation_batches(self.strategy, dataset, steps, name="dataset")
        with self.strategy.scope():
            callbacks = callback_list(model, callbacks, verbose, steps=data.steps(0))
            predict = self._compiled(predict_function)
            callbacks.on_predict_begin()
            outputs = []
            for step, output in data.calls(predict, 0, 0, 1, callbacks.on_predict_batch_begin):
                callbacks.on_predict_batch_end(step - 1, {"outputs": output})
                outputs.append(output)
            callbacks.on_predict_end()
        return joined(outputs)

    def _compiled(self, make):
        """What `make` makes of the model: once, as long as it is not compiled anew."""
        self.model.make_train_function()  # which also looks at what `compile` was given
        key = make, self.model.train_function
        if key not in self._functions:
            self._functions = {k: f for k, f in self._functions.items() if k[1] is key[1]}
            self._functions[key] = make(self.model)
        return self._functions[key]
