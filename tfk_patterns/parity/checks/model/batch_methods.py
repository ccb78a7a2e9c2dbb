"""The methods that take one batch."""

import contextlib

import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import blamed
from tfk_patterns.parity.model_fitting import evaluated, fit_of, single_numbers
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.reference import equal_circumstances

_BATCH_HINT = (
    "`train_step`, `test_step` and `predict_step` get the data of one batch as `fit` passes them, "
    "a tuple `(x,)`, `(x, y)` or `(x, y, sample_weight)`: unpack with "
    "`keras.utils.unpack_x_y_sample_weight(data)`, and return a dict of numbers."
)


@define_check(
    follows=("fit", "evaluate_predict", "logged_loss", "compiled_metrics"),
    link="https://keras.io/api/models/model_training_apis/",
)
def batch_methods(subject):
    """`train_on_batch`, `test_on_batch` and `predict_on_batch` do what `fit` and the others do.

    Bug: `x, y = data` works in `fit` until there are sample weights. On Keras 3
    `train_on_batch` always hands on three parts, the last one perhaps `None`: a training loop
    of one's own raises for a model that `fit` trains
    (https://github.com/Jannoshh/simple-sam/issues/6).

    Broken, on Keras 3::

        labels = (y > 0).astype("int32")


        class Smoothed(keras.Sequential):
            def train_step(self, data):
                x, y = data
                return super().train_step((x, 0.9 * tf.cast(y, "float32") + 0.05))


        def make():
            model = Smoothed([keras.Input((4,)), keras.layers.Dense(1, "sigmoid")])
            model.compile("sgd", "binary_crossentropy")
            return model


        case = ModelCase(make, x, labels)

    Mended::

        labels = (y > 0).astype("int32")


        class Smoothed(keras.Sequential):
            def train_step(self, data):
                x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
                smooth = 0.9 * tf.cast(y, "float32") + 0.05
                return super().train_step((x, smooth, sample_weight))


        def make():
            model = Smoothed([keras.Input((4,)), keras.layers.Dense(1, "sigmoid")])
            model.compile("sgd", "binary_crossentropy")
            return model


        case = ModelCase(make, x, labels)
    """
    case = subject.case
    batches = [
        _as_tensors(subject.reference.rows(slice(start, start + case.batch_size)))
        for start in range(0, case.samples, case.batch_size)
    ]
    _check_train_on_batch(subject, batches)
    model = subject.model()
    _keras.run_in_mode(model, "eager")
    if not subject.why_not_evaluated:
        with _running(subject, "test_on_batch"), equal_circumstances():
            single = model.test_on_batch(**batches[0], return_dict=True)
            model.reset_metrics()
            several = evaluated(model, batches[0], case.batch_size)
        if subject.evaluates_at_random:
            subject.tally.left_out["values of test_on_batch"] = "it draws random numbers"
        else:
            logs = single_numbers(single)
            subject.compare(several, logs, "test_on_batch", "logs", _BATCH_HINT, "evaluate")
    if not subject.cannot_be_called and not subject.is_random:
        with _running(subject, "predict_on_batch"), equal_circumstances():
            single = model.predict_on_batch(batches[0]["x"])
            several = model.predict(batches[0]["x"], batch_size=case.batch_size, verbose=0)
        subject.compare(
            tf.nest.flatten(several),
            tf.nest.flatten(single),
            "predict_on_batch",
            "outputs",
            _BATCH_HINT,
            "predict",
        )
    subject.skip_if_nothing("; ".join(dict.fromkeys(subject.tally.left_out.values())))


def _check_train_on_batch(subject, batches):
    def run(recorder):
        for batch in batches * 2:
            logs = recorder.model.train_on_batch(**batch, return_dict=True)
        return fit_of(recorder.model, {}, [single_numbers(logs)])

    with _running(subject, "train_on_batch"):
        found, _ = subject.recorded(run)
    if any(getattr(o, "use_ema", False) for o in _keras.optimizers_of(subject.reference.model)):
        subject.tally.left_out["weights"] = "`fit` alone overwrites them by their moving average"
    elif subject.random_ops.from_global:
        reason = "two runs draw differently from TensorFlow's global random state"
        subject.tally.left_out["weights after train_on_batch"] = reason
    else:
        for field in ("iterations", "variables"):
            subject.compare(
                getattr(subject.fitted, field),
                getattr(found, field),
                "train_on_batch",
                field,
                _BATCH_HINT,
                "fit",
            )
    missing = subject.fitted.step_logs.keys() - found.step_logs.keys()
    if missing:
        raise Failure(
            f"`train_on_batch(return_dict=True)` gives no {', '.join(sorted(missing))}, which "
            "`fit` logs",
            "train_on_batch, eager",
            _BATCH_HINT,
        )


def _as_tensors(batch):
    """The batch as tensors: in eager mode Keras 3 hands arrays on as they are, `fit` never does."""
    return tf.nest.map_structure(
        lambda leaf: None if leaf is None else tf.convert_to_tensor(leaf), batch
    )


@contextlib.contextmanager
def _running(subject, method: str):
    with blamed(f"`{method}` raised", f"{method}, eager", _BATCH_HINT):
        try:
            yield
        except (StopIteration, tf.errors.OutOfRangeError) as error:
            if not subject.merges_steps:
                raise
            reason = f"with `steps_per_execution` Keras 2 asks `{method}` for several batches"
            raise Skip(reason) from error
