"""A model whose training algorithm is one method."""

import contextlib
import warnings
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns._kept_values import put_back
from tfk_patterns._replicas import mean_of_samples, mean_over_replicas, replica_count, samples_in
from tfk_patterns.models._classes import (
    check_functional_arguments,
    check_own_train_step,
    class_for_arguments,
    functional_class_of,
    is_functional,
)
from tfk_patterns.models._config import config_of, model_from_config
from tfk_patterns.models._returned import (
    check_gradients,
    check_loss_and_predictions,
    checked,
)


@_keras.register
class TrainStepModel(keras.Model):
    """A model whose training algorithm is one method; all else of a step is done, and right.

    Derive a class and override `compute_gradients`, `apply_gradients`, or both. Without that it
    trains as `keras.Model` does. The base sees to the logs and the metrics of `compile`, sample and
    class weights, clipping, the scale of the loss in mixed precision, replicas (with shares of a
    batch that differ in size too), `steps_per_execution`, `run_eagerly` and `jit_compile`, in
    `fit`, `train_on_batch`, `evaluate` and `predict`, wherever Keras itself can. Both methods are
    traced: what depends on the value of a tensor is `tf.cond` or `tf.where`, not Python's `if`.

    It is made as `keras.Model` is: `TrainStepModel(inputs, outputs)`, or by a class with a `call`;
    and as `keras.Sequential`: `TrainStepModel([layer, ...])`; a functional model that is there
    already, as `TrainStepModel(model.inputs, model.outputs)`. The constructor of a derived class
    hands on what is not its own, as `__init__(self, *args, strength=0.1, **kwargs)` with
    `super().__init__(*args, **kwargs)`, and keeps each argument, as it was given, as an attribute
    of the same name: then files bring it back, and there is no `get_config` to write.

    The loss that `compute_gradients` returns is logged as `loss`; `evaluate` logs that of
    `compute_loss`, which an algorithm without a compiled loss overrides, too, to be evaluated. What
    an algorithm counts must be in variables: `self.optimizer.iterations` are the steps taken so
    far; others are made by `self.add_weight` in the constructor, after `super().__init__`.

    Layers that synchronise statistics over replicas are exact where the replicas' shares of a batch
    are equal. `keras.models.clone_model` of Keras 3 makes a functional model with the defaults of
    the constructor's arguments; `Cls.from_config(model.get_config())` keeps them.

    Args:
        *args: Of `keras.Model`: inputs and outputs, or nothing; or a list of layers.
        **kwargs: Of `keras.Model`: `inputs`, `outputs`, `name`; for a class with a `call` also
            `dtype`, `trainable`.

    Raises:
        NotImplementedError: On saving, an argument of the constructor is no attribute.
        TypeError: A class has a `train_step` that does not call this one. In the first step,
            `compute_gradients` returns something else, or its parts have wrong types.
        ValueError: In the first step, the gradients do not fit the trainable weights, the loss is
            no scalar, or there is none to compute.

    Example:

    >>> import tensorflow as tf
    >>> from tensorflow import keras
    >>> import tfk_patterns
    >>> class Centralized(tfk_patterns.models.TrainStepModel):
    ...     def apply_gradients(self, gradients):  # of kernels: without their mean over the inputs
    ...         super().apply_gradients(
    ...             [g - tf.reduce_mean(g, axis=0) if g.shape.rank > 1 else g for g in gradients]
    ...         )
    >>> inputs = keras.Input((2,))
    >>> model = Centralized(inputs, keras.layers.Dense(1, kernel_initializer="ones")(inputs))
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> history = model.fit(tf.constant([[1.0, 0.0]]), tf.constant([[0.0]]), verbose=0).history
    >>> history["loss"], [round(weight, 2) for weight in model.get_weights()[0].ravel().tolist()]
    ([1.0], [0.9, 1.1])
    """

    def __new__(cls, *args, **kwargs):
        return super().__new__(class_for_arguments(cls, args, kwargs), *args, **kwargs)

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        check_own_train_step(cls)

    def __init__(self, *args: Any, **kwargs: Any):
        # A constructor of its own may have made these tensors.
        if is_functional(args, kwargs) and not isinstance(self, keras.Sequential):
            object.__setattr__(self, "__class__", functional_class_of(type(self)))
            check_functional_arguments(type(self), kwargs)
        elif args and not isinstance(self, keras.Sequential):
            raise TypeError(
                f"`{type(self).__name__}` takes inputs and outputs, a list of layers, or nothing "
                "but keywords; an existing model as its `inputs` and `outputs`. Received: "
                + ", ".join(map(repr, args))
            )
        super().__init__(*args, **kwargs)

    def compute_gradients(self, x, y, sample_weight):
        """The gradients of a batch. Override it for a training algorithm of your own.

        `super().compute_gradients(...)`, also with other data or called twice, gives the plain
        gradients; `self.differentiate` those of another loss; `self.forward_pass` a loss and
        predictions; `self.mean_over_replicas` the gradients of the whole batch; `self.dry_run`
        takes back what a call changes besides.

        Args:
            x: The inputs: a tensor `(batch, ...)`, or a structure of such tensors.
            y: The targets likewise, or `None`.
            sample_weight: The weights of the samples, `(batch,)` as a rule, or `None`.

        Returns:
            `(gradients, loss, predictions)`: a list with a gradient for each of
            `self.trainable_weights`, or `None`; the mean loss over the samples, a scalar; and the
            outputs for the metrics. Of this replica alone, where there are several, and never
            scaled.
        """
        return self.differentiate(lambda: self.forward_pass(x, y, sample_weight))

    def apply_gradients(self, gradients: list) -> None:
        """Moves the trainable weights. Override it to change the gradients, or how they are used.

        Args:
            gradients: A gradient for each of `self.trainable_weights`, or `None`: the mean over
                the whole batch, equal on all replicas, in the units of the loss, not clipped. In
                mixed precision they may be infinite or NaN: then the optimizer skips the step.
        """
        gradients = list(gradients)
        check_gradients(self, gradients, f"`{type(self).__name__}.apply_gradients`")
        _keras.apply_mean_gradients(self.optimizer, gradients, self.trainable_weights)

    def forward_pass(self, x, y, sample_weight, training: bool = True):
        """Calls the model, and returns the loss with all its parts, and the outputs.

        Args:
            x: The inputs.
            y: The targets.
            sample_weight: The weights of the samples.
            training: Whether the layers are told that this is training.

        Returns:
            `(loss, predictions)`: the mean of the compiled loss over the samples, with what layers
            add by `add_loss` and regularisers; and what the model returns.

        Raises:
            ValueError: There is no loss, or there are no targets for it.
        """
        predictions = self(x, training=training)
        if not _keras.overrides(self, "compute_loss"):
            self._check_loss(y)
        with put_back(_keras.logged_by_compute_loss(self)):  # `train_step` logs
            loss = _keras.total_loss(self, x, y, predictions, sample_weight, training)
        return mean_of_samples(loss, x), predictions

    def differentiate(self, function):
        """The gradients of a loss with respect to the trainable weights, right in float16 too.

        Args:
            function: Called without arguments, it returns `(loss, predictions)`. The loss of
                `forward_pass` has all its parts; to another one add `sum(self.losses)`, what layers
                and regularisers add.

        Returns:
            `(gradients, loss, predictions)`, as `compute_gradients` does.
        """
        replicas = replica_count()
        with tf.GradientTape() as tape:
            returned = function()
            check_loss_and_predictions(self, returned)
            loss, predictions = returned
            # As a share of the whole, so that half precision overflows no earlier than on one.
            share = loss if replicas == 1 else loss / replicas
            scaled = _keras.scaled_loss(self.optimizer, share)
        gradients = tape.gradient(scaled, _keras.trainable_variables(self))
        gradients = _keras.unscaled_gradients(self.optimizer, gradients)
        if replicas > 1:
            gradients = _keras.map_gradients(lambda values: values * replicas, gradients)
        return gradients, loss, predictions

    def mean_over_replicas(self, gradients: list, x) -> list:
        """The gradients of the whole batch, from those of this replica.

        Args:
            gradients: As `compute_gradients` returns them.
            x: The inputs of this replica, whose number of samples is its weight.
        """
        return mean_over_replicas(gradients, x, self._sums_samples())

    @contextlib.contextmanager
    def dry_run(self):
        """Context manager: weights, state, random state and metrics are put back at its end."""
        weights, others = _keras.split_variables(self)
        metrics = _keras.metrics_of(self)
        with put_back([*weights, *others]):
            yield
        for metric in _keras.metrics_of(self):
            if not any(metric is one for one in metrics):  # made inside, of several outputs
                metric.reset_state()

    def make_train_function(self, force: bool = False):
        """As `keras.Model.make_train_function`, after a look at what `compile` was given."""
        self._check_compiled()
        return super().make_train_function(force)

    def train_step(self, data):
        """One step of `fit`. Override it to change the data alone, and call this one."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(_tensors(data))
        if not self.built:
            _keras.build_for(self, x, y, sample_weight)
        returned = checked(self, self.compute_gradients(x, y, sample_weight))
        gradients, loss, predictions = returned
        if self.trainable_weights:
            self._use_gradients(self.mean_over_replicas(gradients, x), samples_in(x))
        else:
            warnings.warn(f"`{type(self).__name__}` has no trainable weights.", stacklevel=2)
        return self._logs(x, y, sample_weight, loss, predictions)

    def test_step(self, data):
        """One step of `evaluate`."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(_tensors(data))
        loss, predictions = self.forward_pass(x, y, sample_weight, training=False)
        return self._logs(x, y, sample_weight, loss, predictions)

    def _check_loss(self, y) -> None:
        if not (self._has_compiled_loss() or self.losses):
            raise ValueError(
                "`loss` must be given to `compile`, where no layer adds one and the model has no "
                "`compute_loss` of its own. Received: loss=None"
            )
        if y is None and self._has_compiled_loss():
            raise ValueError(
                "`y` must be the targets, for the loss that `compile` was given. Received: y=None"
            )

    def _check_compiled(self) -> None:
        """Raises where this model cannot train with what was given to `compile`."""

    def _own_callbacks(self) -> list:
        """The callbacks that belong to the algorithm, for whoever trains by another loop."""
        return []

    def _use_gradients(self, gradients, samples) -> None:
        self.apply_gradients(gradients)

    def _logs(self, x, y, sample_weight, loss, predictions):
        _keras.log_loss(self, loss, samples_in(x), predictions)
        return self.compute_metrics(x, y, predictions, sample_weight)

    def _has_compiled_loss(self) -> bool:
        return any(loss is not None for loss in _keras.compiled_losses(self))

    def _sums_samples(self) -> bool:
        losses = _keras.compiled_losses(self)
        return any(getattr(loss, "reduction", None) == "sum" for loss in losses)

    def get_config(self) -> dict[str, Any]:
        return config_of(self, TrainStepModel)

    def __reduce__(self):
        function, *rest = super().__reduce__()
        if isinstance(getattr(function, "__self__", None), type):
            # Of a class that pickle finds: that of a functional model has no place in its module.
            function = getattr(keras.Model, function.__name__)
        return (function, *rest)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return model_from_config(cls, TrainStepModel, config, custom_objects)


def _tensors(data):
    """The data of a step without the arrays that `train_on_batch` of Keras 3 hands on eagerly."""
    return tf.nest.map_structure(
        lambda leaf: tf.convert_to_tensor(leaf) if isinstance(leaf, np.ndarray) else leaf, data
    )
