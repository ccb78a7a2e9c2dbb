"""Layers that are not to be trained."""

from tfk_patterns import _keras
from tfk_patterns.parity.arrays import values_by_name
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import blamed
from tfk_patterns.parity.outcome import Failure, Skip
from tfk_patterns.parity.state import is_float, kept_on_purpose, moved

_STEPS = 2
_WEIGHTS = (
    "`layer.trainable = False` must leave no trainable weights: do not set `self.trainable`, nor "
    "define `trainable` or `trainable_weights`, in the layer; `add_weight` and the layers that "
    "are its attributes are counted by Keras."
)
_STATE = (
    "A frozen layer behaves as in inference, as BatchNormalization does: write its state where "
    "`training and self.trainable`."
)
_BACK = (
    "Do not give `trainable=self.trainable` to `add_weight`: what is not to be learned says "
    "`trainable=False`, all else nothing, and `layer.trainable` decides for the layer as a whole."
)


@define_check(
    follows=("outputs", "random_inference", "inference_state"),
    link="https://keras.io/guides/transfer_learning/",
    fast=True,
)
def frozen_state(subject):
    """With `trainable=False`, set before or after `build`, nothing in the layer is learned.

    No weight is trainable, and no float state moves in training; `trainable=True` undoes that.

    Bug: `trainable=False` stops the optimizer, and not what a layer assigns itself: a frozen
    backbone whose running statistics follow the new data gives other features after fine-tuning
    than before. The weights that one looks at have not moved
    (https://github.com/keras-team/keras/issues/7085).

    Broken::

        class Centred(keras.layers.Layer):
            def build(self, input_shape):
                self.mean = self.add_weight(
                    name="mean", shape=input_shape[-1:], initializer="zeros", trainable=False
                )
                self.built = True

            def call(self, inputs, training=None):
                if training:
                    self.mean.assign(0.9 * self.mean + 0.1 * tf.reduce_mean(inputs, axis=(0, 1)))
                return inputs - self.mean


        case = LayerCase(Centred, steps)

    Mended::

        class Centred(keras.layers.Layer):
            def build(self, input_shape):
                self.mean = self.add_weight(
                    name="mean", shape=input_shape[-1:], initializer="zeros", trainable=False
                )
                self.built = True

            def call(self, inputs, training=None):
                mean = tf.cast(self.mean, inputs.dtype)
                if training and self.trainable:
                    moved = 0.9 * mean + 0.1 * tf.reduce_mean(inputs, axis=(0, 1))
                    self.mean.assign(tf.cast(moved, self.variable_dtype))
                return inputs - mean


        case = LayerCase(Centred, steps)
    """
    layer = subject.layer()
    if not _keras.state_variables(layer):
        raise Skip("the layer has no variables")
    learned = _by_id(layer.trainable_weights)
    # Keras itself unfreezes these with the layer they are in.
    asleep = _by_id(
        w for part in _keras.sublayers(layer) if not part.trainable for w in part.weights
    )
    late = "trainable=False, set after `build`"
    layer.trainable = False
    _require_no_weights(layer, late)
    _require_still(subject, layer, late)
    layer.trainable = True
    back = _by_id(layer.trainable_weights)
    _require_same(learned, back, late, may_come=asleep)

    early = "trainable=False, set before `build`"
    other = subject.reference.fresh()
    if other.built:
        return
    other.trainable = False
    subject.reference.built(other)
    _require_no_weights(other, early)
    if any(part.trainable for part in _keras.sublayers(other)):
        reason = "Keras does not freeze layers that are made in `build` later"
        subject.tally.left_out[f"state, {early}"] = reason
    else:
        _require_still(subject, other, early)
    other.trainable = True
    _require_same(_by_name(back), _by_name(_by_id(other.trainable_weights)), early)


def _require_no_weights(layer, where):
    weights = list(values_by_name(layer.trainable_weights))
    if weights:
        text = f"the layer still has trainable weights: {', '.join(weights)}"
        raise Failure(text, where, _WEIGHTS)


def _require_still(subject, layer, where):
    """Fails where float state of the layer moves in training."""
    variables = _keras.state_variables(layer)
    before = values_by_name(variables)
    for _ in range(_STEPS):
        with blamed("the frozen layer cannot be called", f"training=True, {where}"):
            subject.call(layer, training=True)
    stateful = kept_on_purpose(layer)
    after = values_by_name(variables)
    for name, difference in moved(before, after).items():
        if _is_count(before[name], after[name]):
            continue
        if name not in stateful and is_float(before[name]):
            raise Failure(
                f"{name} {difference.description.replace('where it gives', 'and was')}",
                f"{where}, after {_STEPS} calls with training=True",
                _STATE,
                max_abs_error=difference.max_abs_error,
                max_rel_error=difference.max_rel_error,
            )


def _is_count(before, after) -> bool:
    """Whether a number has counted the calls, as warm-ups do, be it a float."""
    return before.ndim == 0 and float(after - before) == _STEPS


def _require_same(before, after, where, may_come=()):
    where = f"{where}, then trainable=True"
    lost = [name for key, name in before.items() if key not in after]
    if lost:
        raise Failure(f"weights are not trainable any more: {', '.join(lost)}", where, _BACK)
    come = [name for key, name in after.items() if key not in before and key not in may_come]
    if come:
        raise Failure(f"weights have become trainable: {', '.join(come)}", where, _BACK)


def _by_id(weights) -> dict:
    weights = list(weights)
    names = values_by_name(weights)
    return dict(zip(map(id, weights), names, strict=True))


def _by_name(named: dict) -> dict:
    return {name: name for name in named.values()}
