"""Steps on all replicas of a strategy, compiled."""

import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.training import _steps
from tfk_patterns.training._batches import Share


def train_function(model):
    """As `_function`, for training: the model's own `train_step`, where it has one."""
    return _function(model, "train", _steps.train_step)


def test_function(model):
    """As `_function`, for evaluation: the model's own `test_step`, where it has one."""
    return _function(model, "test", lambda model, data, fraction: _steps.test_step(model, data))


def _function(model, kind, step):
    """A function `(iterator, steps, with_logs)` that runs up to so many steps.

    It returns how many it ran, and the logs: the metrics over all replicas and steps so far.
    Without logs there are none, where they are nothing but the metrics, to be read at any time.
    """
    strategy = model.distribute_strategy
    has_own = _keras.overrides(model, f"{kind}_step")
    own_step = getattr(model, f"{kind}_step")
    counter = _keras.step_counter(model, kind)

    def on_replica(batch):
        data, fraction = batch if isinstance(batch, Share) else (batch, None)
        return own_step(data) if has_own else step(model, data, fraction)

    on_replica = _compiled(model, on_replica)

    def run(batch):
        returned = strategy.run(on_replica, args=(batch,))
        if counter is not None:
            counter.assign_add(1)
        return returned

    def logs(returned, asked_for):
        return _logs(model, strategy, returned) if asked_for or has_own else {}

    def one_step(iterator, steps, with_logs):
        return 1, logs(run(next(iterator)), with_logs)

    def several_steps(iterator, steps, with_logs):
        returned = run(next(iterator))
        done = tf.constant(1)
        for _ in tf.range(steps - 1):
            batch = iterator.get_next_as_optional()
            if batch.has_value():
                returned = run(batch.get_value())
                done += 1
        return done, logs(returned, with_logs)

    function = one_step if _keras.steps_per_execution(model) == 1 else several_steps
    return function if model.run_eagerly else tf.function(function, reduce_retracing=True)


def predict_function(model):
    """As `_function`, but for one step, with the outputs for the whole batch as logs."""
    strategy = model.distribute_strategy

    def on_replica(batch):
        return model.predict_step(batch.data if isinstance(batch, Share) else batch)

    on_replica = _compiled(model, on_replica)
    counter = _keras.step_counter(model, "predict")

    def predict(iterator, steps, with_logs):
        outputs = strategy.run(on_replica, args=(next(iterator),))
        if counter is not None:
            counter.assign_add(1)
        outputs = tf.nest.map_structure(lambda output: _gathered(strategy, output), outputs)
        return 1, {"outputs": outputs}

    return predict if model.run_eagerly else tf.function(predict, reduce_retracing=True)


def _compiled(model, step):
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
