"""The losses that layers add."""

import numpy as np

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.model_steps import equal, one_step, scale_of_loss
from tfk_patterns.parity.outcome import Failure, Skip

_EXTRA_HINT = (
    "`self.compute_loss(x, y, y_pred, sample_weight)` adds the losses of layers and regularisers; "
    "a loss of your own needs `+ sum(self.losses)`. The `forward_pass` of "
    "`tfk_patterns.models.TrainStepModel` gives the loss with all its parts."
)
_LARGER = 100.0
_STEPS = 3


@define_check(
    follows=("fit",),
    link="https://www.tensorflow.org/guide/keras/making_new_layers_and_models_via_subclassing"
    "#the_add_loss_method",
    fast=True,
)
def extra_losses(subject):
    """The losses that layers add and regularisers give are part of what is minimised.

    Bug: A loss that is written by hand knows nothing of regularisers and `add_loss`: training
    works, and a `kernel_regularizer` does nothing at all, however strong
    (https://github.com/hunglc007/tensorflow-yolov4-tflite/issues/369).

    Broken::

        class Robust(keras.Sequential):
            def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **kwargs):
                return keras.losses.Huber()(y, y_pred, sample_weight)


        def make():
            model = Robust([keras.Input((4,)), keras.layers.Dense(1, kernel_regularizer="l2")])
            model.compile("sgd")
            return model


        case = ModelCase(make, x, y)

    Mended::

        def make():
            model = keras.Sequential(
                [keras.Input((4,)), keras.layers.Dense(1, kernel_regularizer="l2")]
            )
            model.compile("sgd", keras.losses.Huber())
            return model


        case = ModelCase(make, x, y)
    """
    first, *later = [step.added for step in subject.steps if step.added is not None] or [0.0]
    if not any((first, *later)):
        raise Skip("no layer adds a loss")
    plain, larger = (one_step(subject, scale=scale) for scale in (1.0, _LARGER))
    # A step may count, and let them fade in from nothing.
    if equal(plain, larger) and equal(
        *(one_step(subject, scale=scale, times=_STEPS) for scale in (1.0, _LARGER))
    ):
        raise Failure(
            f"`model.losses`, {first:.7g} in the first step, are not part of the loss: a hundred "
            "times as much gives the same step",
            "one step, eager",
            _EXTRA_HINT,
        )
    targets, larger_targets = plain[-1], larger[-1]
    # A loss that is all of the step's own may weigh them as it likes.
    is_own = not any(step.computed or step.losses for step in subject.steps)
    if first and not is_own and len(targets) == 1 and len(larger_targets) == 1:
        times = (larger_targets[0] - targets[0]) / ((_LARGER - 1) * first * scale_of_loss(subject))
        if np.isclose(times, [2.0, 3.0], rtol=0.1).any():
            raise Failure(
                f"`model.losses`, {first:.7g} in the first step, are counted {times:.2g} times in "
                "the loss",
                "one step, eager",
                "`self.compute_loss(...)` and `compiled_loss(..., regularization_losses=...)` add "
                "them: do not add `sum(self.losses)` once more.",
            )
    subject.tally.compared += 1
