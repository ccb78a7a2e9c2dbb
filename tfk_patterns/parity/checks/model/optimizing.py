"""What happens to gradients on their way to the weights."""

import numpy as np

from tfk_patterns import _keras
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.comparison import Difference
from tfk_patterns.parity.model_fitting import take_a_step
from tfk_patterns.parity.model_subject import trainable_values
from tfk_patterns.parity.outcome import Failure, Skip

_SCALES = (2.0**10, 2.0**6)
_ROUNDING = 0.05  # of float16, relative to the largest gradient
_SCALE_HINT = (
    "Differentiate the scaled loss and apply gradients that are scaled once: on Keras 3 "
    "`optimizer.scale_loss(loss)`, and `optimizer.apply(...)` unscales; on Keras 2 "
    "`optimizer.get_scaled_loss(loss)` and then `optimizer.get_unscaled_gradients(gradients)`."
)
_CLIP_HINT = (
    "Hand gradients to `self.optimizer.apply_gradients(zip(gradients, weights))`, which clips "
    "them; weights that are assigned by hand are not clipped."
)
_CLIPPING = ("clipnorm", "global_clipnorm", "clipvalue")


@define_check(
    follows=("fit",),
    link="https://www.tensorflow.org/guide/mixed_precision#loss_scaling",
    fast=True,
)
def loss_scaling(subject):
    """The loss is scaled once and the gradients are unscaled once: the scale changes no step.

    Bug: A `train_step` of one's own must scale the loss itself. Else Keras 3 divides gradients
    by a scale that they never had, and hardly a weight moves; on Keras 2 small ones are 0 in
    float16. There is no error (https://github.com/keras-team/keras/issues/19244).

    Broken::

        class Own(keras.Sequential):
            def train_step(self, data):
                x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
                with tf.GradientTape() as tape:
                    y_pred = self(x, training=True)
                    loss = self.compute_loss(x, y, y_pred, sample_weight)
                gradients = tape.gradient(loss, self.trainable_weights)
                self.optimizer.apply_gradients(zip(gradients, self.trainable_weights))
                replicas = tf.distribute.get_strategy().num_replicas_in_sync
                for metric in self.metrics:
                    if metric.name == "loss":
                        metric.update_state(loss * replicas, sample_weight=tf.shape(x)[0])
                return self.compute_metrics(x, y, y_pred, sample_weight)


        def make():
            hidden = keras.layers.Dense(8, "relu", dtype="mixed_float16")
            model = Own([keras.Input((4,)), hidden, keras.layers.Dense(1)])
            optimizer = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD())
            model.compile(optimizer, "mse")
            return model


        case = ModelCase(make, x, y)

    Mended::

        class Own(keras.Sequential):
            def train_step(self, data):
                x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
                is_keras_2 = hasattr(self.optimizer, "get_scaled_loss")
                scale = self.optimizer.get_scaled_loss if is_keras_2 else self.optimizer.scale_loss
                with tf.GradientTape() as tape:
                    y_pred = self(x, training=True)
                    loss = self.compute_loss(x, y, y_pred, sample_weight)
                    scaled = scale(loss)
                gradients = tape.gradient(scaled, self.trainable_weights)
                if is_keras_2:  # on Keras 3 the optimizer does so
                    gradients = self.optimizer.get_unscaled_gradients(gradients)
                self.optimizer.apply_gradients(zip(gradients, self.trainable_weights))
                replicas = tf.distribute.get_strategy().num_replicas_in_sync
                for metric in self.metrics:
                    if metric.name == "loss":
                        metric.update_state(loss * replicas, sample_weight=tf.shape(x)[0])
                return self.compute_metrics(x, y, y_pred, sample_weight)


        def make():
            hidden = keras.layers.Dense(8, "relu", dtype="mixed_float16")
            model = Own([keras.Input((4,)), hidden, keras.layers.Dense(1)])
            optimizer = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD())
            model.compile(optimizer, "mse")
            return model


        case = ModelCase(make, x, y)
    """
    scaled = [o for o in _keras.optimizers_of(subject.reference.model) if _keras.scales_loss(o)]
    if not scaled:
        raise Skip("no optimizer scales the loss: a model made under mixed_float16 has one")
    (one, other) = (_step_at(subject, scale) for scale in _SCALES)
    if one.targets and other.targets:
        ratio = one.targets[-1] / other.targets[-1] if other.targets[-1] else np.nan
        if np.isclose(ratio, 1.0, rtol=0.2):
            raise Failure(
                f"the loss that is differentiated is {one.targets[-1]:.7g} at a loss scale of "
                f"{_SCALES[0]:g} and {other.targets[-1]:.7g} at {_SCALES[1]:g}: it is not scaled",
                "one step, eager",
                _SCALE_HINT,
            )
    for (name, gradient), (_, smaller) in zip(one.updates, other.updates, strict=True):
        largest = np.max(np.abs(smaller), initial=1e-6)
        error = float(np.max(np.abs(gradient - smaller), initial=0.0))
        if error > _ROUNDING * largest:
            ratio = np.max(np.abs(gradient), initial=0.0) / largest
            raise Failure(
                f"the gradient of {name} reaches the optimizer {ratio:.3g} times as large when the "
                f"loss scale is {_SCALES[0] / _SCALES[1]:g} times as large",
                "one step, eager",
                _SCALE_HINT,
                max_abs_error=error,
            )
        subject.tally.add(Difference(None, error, error / largest))
    subject.skip_if_nothing("no optimizer was given gradients in the first step")


def _step_at(subject, scale):
    model = subject.model()
    for optimizer in _keras.optimizers_of(model):
        if _keras.scales_loss(optimizer):
            _keras.set_loss_scale(optimizer, scale)
    return _one_step(subject, model)[1]


@define_check(follows=("fit",), link="https://keras.io/api/optimizers/", fast=True)
def gradient_clipping(subject):
    """No weight moves by a gradient beyond the clipping of its optimizer or of the step itself.

    Bug: There is code that clips, and the gradients that are applied do not come from it: the
    model still explodes now and then, and nothing says that the clipping does nothing
    (https://github.com/microsoft/tf2-gnn/pull/23).

    Broken::

        class Clipped(keras.Sequential):
            def train_step(self, data):
                x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
                with tf.GradientTape() as tape:
                    y_pred = self(x, training=True)
                    loss = self.compute_loss(x, y, y_pred, sample_weight)
                gradients = tape.gradient(loss, self.trainable_weights)
                clipped, norm = tf.clip_by_global_norm(gradients, 1.0)
                self.optimizer.apply_gradients(zip(gradients, self.trainable_weights))
                return {"norm": norm}


        def make():
            model = Clipped([keras.Input((4,)), keras.layers.Dense(1)])
            model.compile("sgd", "mse")
            return model


        case = ModelCase(make, x, y)

    Mended::

        def make():
            model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
            model.compile(keras.optimizers.SGD(global_clipnorm=1.0), "mse")
            return model


        case = ModelCase(make, x, y)
    """
    _check_clipped_by_hand(subject)
    optimizers = [_keras.inner_optimizer(o) for o in _keras.optimizers_of(subject.reference.model)]
    if not any(clipping_of(optimizer) for optimizer in optimizers):
        subject.skip_if_nothing("no optimizer clips gradients")
        return
    if len(optimizers) > 1:
        raise Skip("of several optimizers it is not known which moves what")
    (limits,) = map(clipping_of, optimizers)
    # The case's own limits may be too wide to matter; a hundredth of the gradients is not.
    _, plain = _one_step(subject, _with_limits(subject.model(), dict.fromkeys(limits, 1e9)))
    for factor in (None, 0.01):
        model = subject.model()
        if factor is not None:
            size = max((np.max(np.abs(g), initial=0.0) for _, g in plain.updates), default=0.0)
            limits = dict.fromkeys(limits, factor * max(float(size), 1e-6))
            model = _with_limits(model, limits)
        moved, step = _one_step(subject, model)
        _check_limits(limits, step.updates)
        _check_all_went_through(moved, step.updates)
    subject.tally.compared += 1


def _check_clipped_by_hand(subject):
    """What a step clips reaches the optimizer clipped."""
    for step in subject.steps:
        for name, gradient in step.updates:
            for before, after in step.clipped:
                if np.array_equal(before, gradient) and not np.array_equal(before, after):
                    raise Failure(
                        f"the gradient of {name} reaches the optimizer as it was before the step "
                        f"clipped it: {np.max(np.abs(before)):.7g} at most, clipped "
                        f"{np.max(np.abs(after)):.7g}",
                        "fit, run_eagerly=True",
                        "Clip before `apply_gradients`, and hand it what the clipping returns.",
                    )
                if np.array_equal(after, gradient):
                    subject.tally.compared += 1


def clipping_of(optimizer) -> dict[str, float]:
    """The clipping arguments of an optimizer that are set."""
    values = {name: getattr(optimizer, name, None) for name in _CLIPPING}
    return {name: float(value) for name, value in values.items() if value is not None}


def _with_limits(model, limits):
    (optimizer,) = (_keras.inner_optimizer(o) for o in _keras.optimizers_of(model))
    for name, value in limits.items():
        setattr(optimizer, name, value)
    return model


def _check_limits(limits, updates):
    norms = [float(np.linalg.norm(np.asarray(g, np.float64))) for _, g in updates]
    largest = {
        "clipnorm": max(norms, default=0.0),
        "global_clipnorm": float(np.linalg.norm(norms)),
        "clipvalue": max((float(np.max(np.abs(g), initial=0.0)) for _, g in updates), default=0.0),
    }
    for name, limit in limits.items():
        if largest[name] > limit * 1.01:
            raise Failure(
                f"gradients reach {largest[name]:.7g} in the optimizer where `{name}` is "
                f"{limit:.7g}",
                "one step, eager",
                _CLIP_HINT,
            )


def _check_all_went_through(moved, updates):
    """What moves does so in an optimizer."""
    names = {name for name, _ in updates}
    around = sorted(moved - names)
    if around:
        raise Failure(
            f"{', '.join(around[:3])} moved without the optimizer, whose clipping it so evades",
            "one step, eager",
            _CLIP_HINT,
        )


def _one_step(subject, model):
    """The names of the trainable weights that one step moved by themselves, and the step."""
    before = trainable_values(model)

    def run(recorder):
        take_a_step(recorder.model, subject.reference.batch)

    _, steps = subject.recorded(run, model)
    after = trainable_values(model)
    moved = set()
    for place, weight in enumerate(model.trainable_weights):
        others = [v for values in (before, after) for n, v in enumerate(values) if n != place]
        old, new = before[place], after[place]
        if not np.array_equal(old, new) and not _follows(others, old, new):
            moved.add(_keras.variable_name(weight))
    return moved, steps[0]


def _follows(others: list[np.ndarray], old: np.ndarray, new: np.ndarray) -> bool:
    """Whether a weight went a part of the way to another one, as that of a target network does."""
    return any(
        other.shape == old.shape and _is_part_of_the_way(new - old, other - old) for other in others
    )


def _is_part_of_the_way(step: np.ndarray, way: np.ndarray) -> bool:
    length = np.sum(np.square(way))
    share = np.sum(step * way) / length if length else 0.0
    if not 0.0 < share <= 1.0:
        return False
    return np.allclose(step, share * way, rtol=1e-3, atol=1e-5 * np.max(np.abs(way)))
