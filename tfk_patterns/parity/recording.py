"""What happens inside training steps, written down while they run in eager mode."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.parity.recorded_step import Call, Step


class Recorder:
    """Writes down the steps of a model that runs eagerly.

    Args:
        model: The model.
    """

    def __init__(self, model):
        self.model = model
        self.steps: list[Step] = []
        self._depth = 0
        self._is_fresh = False

    def begin_step(self) -> None:
        """Starts the next step."""
        self.steps.append(Step())
        self._is_fresh = True

    def _begin_train_step(self) -> None:
        """Starts the next step, where Keras takes several between two calls of a callback."""
        if not self._is_fresh:
            self.begin_step()
        self._is_fresh = False

    @property
    def step(self) -> Step:
        """The step that runs."""
        if not self.steps:
            self.begin_step()
        return self.steps[-1]

    @contextlib.contextmanager
    def recording(self) -> Iterator["Recorder"]:
        """Watches the model, its optimizers, loss objects and gradient tapes."""
        with contextlib.ExitStack() as stack:
            watch = functools.partial(self._watch, stack)
            stack.enter_context(self._separated_steps())
            watch(type(self.model), "__call__", self._call)
            watch(type(self.model), "compute_loss", self._compute_loss)
            watch(keras.losses.Loss, "__call__", self._loss)
            watch(tf.GradientTape, "gradient", self._gradient)
            optimizers = map(_keras.inner_optimizer, _keras.optimizers_of(self.model))
            for cls in dict.fromkeys(map(type, optimizers)):
                watch(cls, "update_step", self._update)
            for name in ("clip_by_value", "clip_by_norm", "clip_by_global_norm"):
                stack.enter_context(mock.patch.object(tf, name, self._clipping(getattr(tf, name))))
            yield self

    def _separated_steps(self):
        original = type(self.model).train_step

        @functools.wraps(original)
        def train_step(model, *args, **kwargs):
            if model is self.model:
                self._begin_train_step()
            return original(model, *args, **kwargs)

        return mock.patch.object(type(self.model), "train_step", train_step)

    def _watch(self, stack, owner: type, name: str, note: Callable) -> None:
        """Replaces a method by one that calls it and hands `note` what went in and came out."""
        original = getattr(owner, name)

        @functools.wraps(original)
        def watched(instance, *args, **kwargs):
            self._depth += name == "__call__" and instance is self.model
            try:
                result = original(instance, *args, **kwargs)
            finally:
                self._depth -= name == "__call__" and instance is self.model
            note(instance, result, *args, **kwargs)
            return result

        stack.enter_context(mock.patch.object(owner, name, watched))

    def _call(self, model, result, *args, **kwargs):
        if model is not self.model or self._depth or _is_symbolic(result):
            return
        inputs = tf.nest.flatten(args or list(kwargs.values()))
        self.step.rows = next((x.shape[0] for x in inputs if getattr(x, "shape", None)), None)
        outputs = tf.nest.flatten(result)
        self.step.calls.append(
            Call(
                training=kwargs.get("training"),
                inputs=[_array(leaf) for leaf in inputs if tf.is_tensor(leaf)],
                outputs=[_array(leaf) for leaf in outputs],
                masks=[_array(_keras.attached_mask(leaf)) for leaf in outputs],
            )
        )

    def _compute_loss(self, model, result, *args, **kwargs):
        if model is self.model:
            self._note_number(self.step.computed, result)

    def _loss(self, loss, result, *args, **kwargs):
        self._note_number(self.step.losses, result)

    def _gradient(self, tape, result, target, *args, **kwargs):
        targets = tf.nest.flatten(target)
        if _is_symbolic(targets):
            return
        if self.step.added is None and not _is_symbolic(self.model.losses):
            self.step.added = sum(float(tf.reduce_sum(loss)) for loss in self.model.losses)
        numbers = [tf.reshape(t, ()) for t in targets if tf.size(t) == 1]
        if numbers:
            self._note_number(self.step.targets, sum(tf.cast(n, tf.float64) for n in numbers))

    def _clipping(self, original: Callable) -> Callable:
        """A clipping function that writes down what goes in and what comes out."""

        @functools.wraps(original)
        def watched(*args, **kwargs):
            result = original(*args, **kwargs)
            gradients = args[0] if args else kwargs.get("t", kwargs.get("t_list"))
            outputs = result[0] if isinstance(result, tuple) else result
            for pair in zip(tf.nest.flatten(gradients), tf.nest.flatten(outputs), strict=True):
                if all(tf.is_tensor(tensor) for tensor in pair) and not _is_symbolic(pair):
                    self.step.clipped.append((_array(pair[0]), _array(pair[1])))
            return result

        return watched

    def _update(self, optimizer, result, gradient, variable, *args, **kwargs):
        if _is_symbolic(gradient):
            return
        self.step.updates.append((self._name_of(variable), _array(gradient)))
        if isinstance(gradient, tf.IndexedSlices):
            self.step.by_rows.add(tuple(variable.shape))

    def _name_of(self, variable) -> str:
        """The name by which the model knows what an optimizer is given: a bare tf.Variable."""
        variables = _keras.trainable_variables(self.model)
        for weight, own in zip(self.model.trainable_weights, variables, strict=True):
            if own is variable or weight is variable:
                return _keras.variable_name(weight)
        return variable.name

    def _note_number(self, numbers: list[float], value) -> None:
        if tf.is_tensor(value) and not _is_symbolic(value) and value.shape.num_elements() == 1:
            numbers.append(float(tf.reshape(tf.cast(value, tf.float64), ())))


def _array(leaf):
    return np.asarray(tf.convert_to_tensor(leaf)) if tf.is_tensor(leaf) else leaf


def _is_symbolic(structure) -> bool:
    """Whether Keras traces shapes, and computes nothing."""
    leaves = tf.nest.flatten(structure, expand_composites=True)  # IndexedSlices, too
    return any(not hasattr(leaf, "numpy") and hasattr(leaf, "dtype") for leaf in leaves)
