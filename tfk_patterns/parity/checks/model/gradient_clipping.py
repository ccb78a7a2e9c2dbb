"""The clipping of gradients on their way to the weights."""

import numpy as np

from tfk_patterns import _keras
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.optimizer_step import optimizer_step
from tfk_patterns.parity.outcome import Failure, Skip

_CLIP_HINT = (
    "Hand gradients to `self.optimizer.apply_gradients(zip(gradients, weights))`, which clips "
    "them; weights that are assigned by hand are not clipped."
)
_CLIPPING = ("clipnorm", "global_clipnorm", "clipvalue")


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
    _, plain = optimizer_step(subject, _with_limits(subject.model(), dict.fromkeys(limits, 1e9)))
    for factor in (None, 0.01):
        model = subject.model()
        if factor is not None:
            size = max((np.max(np.abs(g), initial=0.0) for _, g in plain.updates), default=0.0)
            limits = dict.fromkeys(limits, factor * max(float(size), 1e-6))
            model = _with_limits(model, limits)
        moved, step = optimizer_step(subject, model)
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
