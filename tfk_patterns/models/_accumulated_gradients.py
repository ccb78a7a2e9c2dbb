"""Sums of gradients over batches."""

import warnings

import tensorflow as tf

_PREFIX = "accumulated_"  # of what is in files


class AccumulatedGradients:
    """The sums of a group of batches, with how many batches and samples they are of.

    No part of the model to Keras: its variables are not among the weights. All replicas hold the
    same, since gradients are averaged over them before.
    """

    def __init__(self):
        self.built = False
        self.apply = None  # a compiled function of the model, here where Keras 2 does not track it

    def build(self, weights: list, optimizer=None) -> None:
        """Makes the variables, and those of the optimizer, unless that is done."""
        if self.built and self._is_of(weights):
            return
        with tf.init_scope():
            if optimizer is not None and hasattr(optimizer, "build"):
                optimizer.build(weights)
            self._weights = list(weights)
            self._sums = [_zeros(weight.shape, _dtype_of(weight)) for weight in weights]
            self._samples = _zeros((), tf.float32)
            self.batches = _zeros((), tf.int64)
        self._moved = set()  # the indices of weights that have had a gradient
        self.built = True

    def _is_of(self, weights: list) -> bool:
        return [id(weight) for weight in self._weights] == [id(weight) for weight in weights]

    def add(self, gradients: list, samples: tf.Tensor) -> None:
        """Counts one more batch, of so many samples."""
        for index, (total, gradient) in enumerate(zip(self._sums, gradients, strict=True)):
            if gradient is not None:
                self._moved.add(index)
                gradient = tf.cast(tf.convert_to_tensor(gradient), total.dtype)
                total.assign_add(gradient * tf.cast(samples, total.dtype))
        self._samples.assign_add(tf.cast(samples, tf.float32))
        self.batches.assign_add(1)

    def mean(self) -> list:
        """The mean gradients over the samples; `None` for a weight that never had one."""
        return [
            tf.cast(tf.math.divide_no_nan(total, tf.cast(self._samples, total.dtype)), weight.dtype)
            if index in self._moved
            else None
            for index, (total, weight) in enumerate(zip(self._sums, self._weights, strict=True))
        ]

    def clear(self) -> None:
        """Starts a new group."""
        for variable in self._variables():
            variable.assign(tf.zeros_like(variable))

    def save(self, store) -> None:
        """Writes a group that is not applied yet to what Keras stores weights in."""
        if self.built and tf.convert_to_tensor(self.batches) > 0:  # a strategy's is no number
            for index, variable in enumerate(self._variables()):
                store[f"{_PREFIX}{index}"] = tf.convert_to_tensor(variable).numpy()

    def load(self, store, weights: list):
        """Reads what `save` wrote; returns what else is stored."""
        stored = list(store.keys())  # which is all that Keras' stores have of a mapping
        names = [name for name in stored if name.startswith(_PREFIX)]
        if self.built:
            self.clear()
        if not names:
            return store
        rest = {name: store[name] for name in stored if name not in names}
        self.build(weights)
        variables = self._variables()
        values = [store[f"{_PREFIX}{index}"][()] for index in range(len(names))]
        if [value.shape for value in values] != [tuple(v.shape) for v in variables]:
            warnings.warn(
                "The file holds gradients of other trainable weights, which are not applied: a "
                "layer is frozen that was not.",
                stacklevel=2,
            )
            return rest
        self._moved = set(range(len(weights)))
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return rest

    def _variables(self) -> list[tf.Variable]:
        return [self.batches, self._samples, *self._sums]


def _dtype_of(weight) -> tf.DType:
    dtype = tf.as_dtype(weight.dtype)
    return tf.float32 if dtype.size < 4 else dtype


def _zeros(shape, dtype: tf.DType) -> tf.Variable:
    return tf.Variable(tf.zeros(tuple(shape), dtype), trainable=False)
