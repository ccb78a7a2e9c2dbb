"""Steps on all replicas of a strategy, compiled."""

import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.training import _steps


def train_function(model):
    """As `_function`, for training: the model's own `train_step`, where it has one."""
    if _keras.overrides(model, "train_step"):
        return _function(model, model.train_step, "train")
    return _function(model, lambda data: _steps.train_step(model, data), "train")


def test_function(model):
    """As `_function`, for evaluation: the model's own `test_step`, where it has one."""
    if _keras.overrides(model, "test_step"):
        return _function(model, model.test_step, "test")
    return _function(model, lambda data: _steps.test_step(model, data), "test")


def _function(model, step, kind):
    """A function `(iterator, steps)` that runs up to so many steps.

    It returns how many it ran, and the logs: the metrics over all replicas and steps so far.
    """
    strategy = model.distribute_strategy
    step = _compiled_step(model, step)
    counter = _keras.step_counter(model, kind)

    def run(batch):
        returned = strategy.run(step, args=(batch,))
        if counter is not None:
            counter.assign_add(1)
        return returned

    def one_step(iterator, steps):
        return 1, _logs(model, strategy, run(next(iterator)))

    def several_steps(iterator, steps):
        returned = run(next(iterator))
        done = tf.constant(1)
        for _ in tf.range(steps - 1):
            batch = iterator.get_next_as_optional()
            if batch.has_value():
                returned = run(batch.get_value())
                done += 1
        return done, _logs(model, strategy, returned)

    function = one_step if _keras.steps_per_execution(model) == 1 else several_steps
    return function if model.run_eagerly else tf.function(function, reduce_retracing=True)


def predict_function(model):
    """A function `(iterator, steps)` that takes one step: 1, and the outputs for a whole batch."""
    strategy = model.distribute_strategy
    step = _compiled_step(model, model.predict_step)
    counter = _keras.step_counter(model, "predict")

    def predict(iterator, steps):
        outputs = strategy.run(step, args=(next(iterator),))
        if counter is not None:
            counter.assign_add(1)
        return 1, tf.nest.map_structure(lambda output: _gathered(strategy, output), outputs)

    return predict if model.run_eagerly else tf.function(predict, reduce_retracing=True)


def _compiled_step(model, step):
    if not _keras.AUTOGRAPH:  # what `fit` of this Keras leaves alone is left alone here
        step = tf.autograph.experimental.do_not_convert(step)
    if model.jit_compile and not model.run_eagerly:
        step = tf.function(step, jit_compile=True, reduce_retracing=True)
    return step


def _logs(model, strategy, returned):
    """The results of the metrics; what a step of the model's own returns, if that is else."""
    results = model.get_metrics_result()
    if not returned or set(returned) == set(results):
        return results
    return {
        name: strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None)
        for name, value in returned.items()
    }


def _gathered(strategy, output):
    if strategy.num_replicas_in_sync == 1:
        return output
    return strategy.gather(output, axis=0)
