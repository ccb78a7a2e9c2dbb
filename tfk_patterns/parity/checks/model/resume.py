"""Training that is broken off and gone on with."""

import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity import model_fitting
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import blamed
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.saving.reloading import custom_objects

_HINT = (
    "What training depends on must be in the file: state in weights (`self.add_weight`), not in "
    "Python attributes or untracked variables; constructor arguments in `get_config`; arguments of "
    "an own `compile` in `get_compile_config`."
)

_COMPILE_HINT = (
    "Override `get_compile_config` to return the arguments of `compile`, serialised, and "
    "`compile_from_config(config)` to call it; else the optimizers start anew."
)


@define_check(
    follows=("fit", "custom_layers"),
    link="https://www.tensorflow.org/guide/keras/serialization_and_saving",
)
def resume(subject):
    """A model that is saved after an epoch, loaded, used and trained on, is as if not interrupted.

    Random state is copied over, which a `.keras` file does not hold, and on Keras 2 the loss scale.

    Bug: An argument that `get_config` leaves out is at its default again after `load_model`.
    The weights load, nothing is said, and training goes on differently
    (https://github.com/keras-team/keras-hub/issues/3072).

    Broken::

        labels = (y > 0).astype("float32")


        class Smoothed(keras.Sequential):
            def __init__(self, layers=None, name=None, smoothing=0.0):
                super().__init__(layers, name=name)
                self.smoothing = smoothing

            def train_step(self, data):
                x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
                smooth = (1 - self.smoothing) * y + self.smoothing / 2
                return super().train_step((x, smooth, sample_weight))


        def make():
            layers = [keras.Input((4,)), keras.layers.Dense(1, "sigmoid")]
            model = Smoothed(layers, smoothing=0.1)
            model.compile("sgd", "binary_crossentropy")
            return model


        case = ModelCase(make, x, labels)

    Mended::

        labels = (y > 0).astype("float32")


        class Smoothed(keras.Sequential):
            def __init__(self, layers=None, name=None, smoothing=0.0):
                super().__init__(layers, name=name)
                self.smoothing = smoothing

            def train_step(self, data):
                x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
                smooth = (1 - self.smoothing) * y + self.smoothing / 2
                return super().train_step((x, smooth, sample_weight))

            def get_config(self):
                return {**super().get_config(), "smoothing": self.smoothing}

            @classmethod
            def from_config(cls, config, custom_objects=None):
                model = super().from_config(config, custom_objects)
                model.smoothing = config["smoothing"]
                return model


        def make():
            layers = [keras.Input((4,)), keras.layers.Dense(1, "sigmoid")]
            model = Smoothed(layers, smoothing=0.1)
            model.compile("sgd", "binary_crossentropy")
            return model


        case = ModelCase(make, x, labels)
    """
    model = subject.model()
    with equal_circumstances(), tempfile.TemporaryDirectory() as folder:
        model_fitting.fit(model, subject.case, "eager", epochs=1)
        path = Path(folder, "model.keras")
        with blamed("the model cannot be saved", "after one epoch", _HINT):
            model.save(path)
        with blamed("the saved model cannot be loaded", "after one epoch", _HINT):
            loaded = keras.models.load_model(path, custom_objects=custom_objects(model))
    _check_compiled(subject, model, loaded)
    _copy_random_state(subject, model, loaded)
    _copy_loss_scale(subject, model, loaded)
    _check_weights(subject, model, loaded)
    _check_inference(subject, model, loaded)
    if subject.random_ops.from_global:
        raise Skip("two runs draw differently from TensorFlow's global random state")
    with equal_circumstances():
        expected = model_fitting.fit(model, subject.case, "eager", epochs=1)
    trained_on = blamed("the loaded model cannot be trained on", "after one epoch", _HINT)
    with trained_on, equal_circumstances():
        found = model_fitting.fit(loaded, subject.case, "eager", epochs=1)
    for field in ("iterations", "step_logs"):
        subject.compare(
            getattr(expected, field),
            getattr(found, field),
            "second epoch, after loading",
            field,
            _HINT,
            "the model that was not interrupted",
        )
    _check_weights(subject, model, loaded)


def _check_compiled(subject, model, loaded):
    where = "after one epoch"
    if not _keras.is_compiled(loaded):
        raise Failure(
            "the loaded model is not compiled: Keras cannot call a `compile` of the class's own",
            where,
            _COMPILE_HINT,
        )
    saved, found = (_iterations(one) for one in (model, loaded))
    if len(saved) != len(found):
        raise Failure(
            f"the loaded model has {len(found)} optimizers, and {len(saved)} were saved",
            where,
            _COMPILE_HINT,
        )
    subject.compare(saved, found, "after loading", "iterations", _COMPILE_HINT, "the saved model")


def _iterations(model) -> list[np.ndarray]:
    """The steps that each optimizer counts."""
    optimizers = map(_keras.inner_optimizer, _keras.optimizers_of(model))
    return [np.asarray(tf.convert_to_tensor(optimizer.iterations)) for optimizer in optimizers]


def _check_weights(subject, model, loaded):
    values = [
        [np.asarray(tf.convert_to_tensor(variable)) for variable in one.weights]
        for one in (model, loaded)
    ]
    subject.compare(
        values[0],
        values[1],
        "after loading",
        "weights",
        _HINT,
        "the model that was not interrupted",
    )


def _check_inference(subject, model, loaded):
    """Fails where `predict` or `evaluate` give something else after loading."""
    if subject.is_random:
        subject.tally.left_out["inference after loading"] = "inference is random"
        return
    case = subject.case
    uses = {
        "predict": lambda one: one.predict(case.x, batch_size=case.batch_size, verbose=0),
        "evaluate": lambda one: model_fitting.evaluated(one, subject.data, case.batch_size),
    }
    if subject.cannot_be_called:
        del uses["predict"]
    if subject.why_not_evaluated:
        del uses["evaluate"]
    _keras.run_in_mode(loaded, "eager")
    for name, use in uses.items():
        with equal_circumstances(), blamed(f"`{name}` raised", check="evaluate_predict"):
            expected = use(model)
        with_loaded = blamed(f"`{name}` of the loaded model raised", "after loading", _HINT)
        with equal_circumstances(), with_loaded:
            found = use(loaded)
        try:
            subject.compare(expected, found, "after loading", name, _HINT, "the saved model")
        except Failure:
            if not _draws(subject, use, model, loaded, expected):
                raise
            subject.tally.left_out[f"{name} after loading"] = "it draws, or changes what it uses"


def _draws(subject, use, model, loaded, expected) -> bool:
    """Whether the saved model gives something else in another call; both models take one."""
    with equal_circumstances():
        again = use(model)
    with equal_circumstances():
        use(loaded)
    try:
        subject.compare(expected, again, "again", "results")
    except Failure:
        return True
    return False


def _copy_random_state(subject, model, loaded):
    """Copies the seeds of Keras' own random layers, which no file holds."""
    seeds, others = (_keras.random_states(one) for one in (model, loaded))
    if seeds:
        subject.tally.left_out["the random state"] = "a `.keras` file does not hold it: copied over"
    for seed, other in zip(seeds, others, strict=False):
        other.assign(seed)


def _copy_loss_scale(subject, model, loaded):
    pairs = zip(_keras.optimizers_of(model), _keras.optimizers_of(loaded), strict=True)
    scaling = [pair for pair in pairs if all(map(_keras.scales_loss, pair))]
    if any([_keras.restore_loss_scale(*pair) for pair in scaling]):
        reason = "a `.keras` file of Keras 2 does not hold it: copied over"
        subject.tally.left_out["the loss scale"] = reason
