"""Steps on all replicas of a strategy, compiled."""

import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.training import _steps
from tfk_patterns.training._shares import Share


def train_function(model):
    """As `_function`, for training: the model's own `train_step`, where it has one."""
    return _function(model, "train", _steps.train_step)


def test_function(model):
    """As `_function`, for evaluation: the model's own `test_step`, where it has one."""
    return _function(model, "test", _steps.test_step)


def metrics_function(model):
    """A function that reads the metrics over all replicas."""
    return _compiled(model, model.get_metrics_result)


def _function(model, kind, step):
    """A function `(batches, steps, with_logs)` that runs some steps on all replicas.

    The batches are an iterator that has at least so many; or, where their number is not known, one
    batch, and `None` for the steps: at its end an iterator may run what does not need its batch.
    It returns what Keras logs after them: what a step of the model's own returns, else the metrics
    over all replicas and steps so far, or nothing where they are not asked for.
    """
    strategy = model.distribute_strategy
    has_own = _keras.overrides(model, f"{kind}_step")
    own_step = getattr(model, f"{kind}_step")
    counter = _keras.step_counter(model, kind)
    one_by_one = _keras.steps_per_execution(model) == 1

    def on_replica(batch):
        data, whole = batch if isinstance(batch, Share) else (batch, None)
        return own_step(data) if has_own else step(model, data, whole)

    on_replica = _compiled_step(model, on_replica)

    def run(batch):
        returned = strategy.run(on_replica, args=(batch,))
        if counter is not None:
            counter.assign_add(1)
        return returned

    def run_several(iterator, steps):
        returned = run(next(iterator))
        for _ in tf.range(steps - 1):
            returned = run(next(iterator))
        return returned

    def function(batches, steps, with_logs):
        if steps is None:
            returned = run(batches)
        elif one_by_one:
            returned = run(next(batches))
        else:
            returned = run_several(batches, steps)
        if has_own or _keras.overrides(model, "compute_metrics"):
            return tf.nest.map_structure(lambda value: _mean(strategy, value), returned)
        return model.get_metrics_result() if with_logs else {}

    return _compiled(model, function)


def predict_function(model):
    """As `_function`, for one step, with the outputs for the whole batch as logs."""
    strategy = model.distribute_strategy
    counter = _keras.step_counter(model, "predict")

    def on_replica(batch):
        return model.predict_step(batch.data if isinstance(batch, Share) else batch)

    on_replica = _compiled_step(model, on_replica)

    def function(batches, steps, with_logs):
        batch = batches if steps is None else next(batches)
        outputs = strategy.run(on_replica, args=(batch,))
        if counter is not None:
            counter.assign_add(1)
        outputs = tf.nest.map_structure(lambda output: _gathered(strategy, output), outputs)
        return {"outputs": outputs}

    return _compiled(model, function)


def _compiled(model, function):
    return function if model.run_eagerly else tf.function(function, reduce_retracing=True)


def _compiled_step(model, step):
    if not _keras.AUTOGRAPH:  # what `fit` of this Keras leaves alone is left alone here
        step = tf.autograph.experimental.do_not_convert(step)
    if model.jit_compile and not model.run_eagerly:
        step = tf.function(step, jit_compile=True, reduce_retracing=True)
    return step


def _mean(strategy, value):
    return strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None)


def _gathered(strategy, output):
    if strategy.num_replicas_in_sync == 1:
        return output
    return strategy.gather(output, axis=0)
