"""Training a model with `fit`."""

from tfk_patterns import _keras
from tfk_patterns.parity import modes, rounding
from tfk_patterns.parity.calls.step_training import require_training
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.outcome import Failure, Skip

_HINT = (
    "Python code in `train_step` and `call` runs once, when the graph is traced: a Python counter, "
    "`if`, list or random number is frozen. Count in a variable (`self.add_weight(..., "
    "trainable=False)`, `optimizer.iterations`), and branch with tf.cond."
)
_TRIES = 3  # TensorFlow itself reads a variable too late in a few runs of 100 (docs/findings.md)


@define_check(
    follows=("custom_layers",),
    link="https://www.tensorflow.org/guide/function#executing_python_side_effects",
)
def fit(subject):
    """Two epochs of `fit` are those of `run_eagerly=True`: logs, weights, iterations, state.

    And a training step says `training=True` where that makes a difference.

    Bug: Python in `train_step` runs when the graph is traced, once, and a counter stays at 1:
    the learning rate never warms up, accumulated gradients are never applied. With
    `run_eagerly=True`, where one would look for the fault, all is well
    (https://github.com/tensorflow/tensorflow/issues/55478).

    Broken::

        class WarmUp(keras.Sequential):
            steps_taken = 0

            def train_step(self, data):
                self.steps_taken += 1
                self.optimizer.learning_rate.assign(min(0.1, 0.01 * self.steps_taken))
                return super().train_step(data)


        def make():
            model = WarmUp([keras.Input((4,)), keras.layers.Dense(1)])
            model.compile("sgd", "mse")
            return model


        case = ModelCase(make, x, y)

    Mended::

        def make():
            warm_up = keras.optimizers.schedules.PolynomialDecay(0.01, 10, end_learning_rate=0.1)
            model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
            model.compile(keras.optimizers.SGD(warm_up), "mse")
            return model


        case = ModelCase(make, x, y)
    """
    expected = subject.fitted
    require_training(subject)
    if _keras.runs_eagerly(subject.reference.model):
        raise Skip("a layer has `dynamic=True`: Keras 2 runs the model eagerly in every mode")
    for mode in ("graph", "xla"):
        reason = _why_not(subject, mode)
        draws = subject.random_ops.why_not(mode)
        if reason:
            subject.tally.left_out[f"fit, {mode}"] = reason
            continue
        if draws:
            subject.tally.left_out[f"fit, {mode}, values"] = draws
            subject.compare(
                expected.iterations,
                subject.fit(mode).iterations,
                f"fit, {mode}",
                "iterations",
                _HINT,
                "run_eagerly=True",
            )
            continue
        _compare(subject, expected, mode)
    subject.skip_if_nothing("; ".join(subject.tally.left_out.values()))


def _why_not(subject, mode):
    if mode != "xla":
        return None
    if not all(_keras.supports_jit(layer) for layer in _keras.sublayers(subject.reference.model)):
        return "a layer says `supports_jit = False`"
    try:
        subject.fit(mode)
    except modes.CannotCompile as error:
        return str(error)
    return None


def _compare(subject, expected, mode):
    """Fails where every try differs by more than rounding, as training amplifies it, explains."""
    failure = _first_failure(subject, expected, subject.fit(mode), mode)
    tries = 1
    while failure is not None and tries < _TRIES:
        tries += 1
        again = subject.fit_again(mode)
        failure = _first_failure(subject, expected, again, mode)
    if tries > 1 and failure is None:
        reason = "equal in another run only: TensorFlow reads a variable too late in some"
        subject.tally.left_out[f"fit, {mode}, first run"] = reason
    if failure is None:
        return
    nudged = subject.shared(
        "nudged", lambda: subject.fit_again("eager", rounding.nudged(subject.model()))
    )
    if not rounding.explains(expected, again, nudged):
        raise failure
    subject.tally.left_out[f"fit, {mode}, to the last digits"] = rounding.REASON
    subject.tally.compared += 1


def _nudged(subject):
    return subject.fit_again("eager", rounding.nudged(subject.model()))


def _first_failure(subject, expected, actual, mode):
    for field in ("iterations", "step_logs", "history", "variables", "optimizers"):
        try:
            subject.compare(
                getattr(expected, field),
                getattr(actual, field),
                f"fit, {mode}",
                field,
                _HINT,
                "run_eagerly=True",
            )
        except Failure as failure:
            return failure
    return None
