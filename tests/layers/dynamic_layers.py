"""Dynamic layers of a user's own, and what they give in NumPy; one step of a layer in a mode."""

import numpy as np
import scipy.optimize
import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, layers


@keras.utils.register_keras_serializable("tests")
class Folded(layers.DynamicLayer):
    """Recursion: folds the valid steps of each sample in two behind the largest, to the last."""

    def __init__(self, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.scale = scale

    def build(self, input_shape):
        shape = (input_shape[-1], input_shape[-1])
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer="glorot_normal")
        self.bias = self.add_weight(name="bias", shape=shape[:1], initializer="zeros")
        self.built = True

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])

    def compute_mask(self, inputs, mask=None):
        return None

    def call(self, inputs, mask=None):
        if not len(inputs):
            return inputs[:, 0]
        masks = np.ones(inputs.shape[:2], bool) if mask is None else mask
        valid = [tf.boolean_mask(*sample) for sample in zip(inputs, masks, strict=True)]
        return self.scale * tf.stack([self._folded(steps) for steps in valid])

    def _folded(self, steps):
        if len(steps) < 2:
            return tf.reduce_sum(steps, axis=0)
        split = 1 + int(np.argmax(steps[:-1, 0]))
        left, right = self._folded(steps[:split]), self._folded(steps[split:])
        return tf.tanh(tf.linalg.matvec(self.kernel, left) + right + self.bias)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


def folded(inputs, kernel, bias, mask=None):
    def fold(steps):
        if len(steps) < 2:
            return steps.sum(axis=0)
        split = 1 + int(np.argmax(steps[:-1, 0]))
        return np.tanh(kernel @ fold(steps[:split]) + fold(steps[split:]) + bias)

    masks = np.ones(np.shape(inputs)[:2], bool) if mask is None else mask
    return np.stack([fold(steps[keep]) for steps, keep in zip(inputs, masks, strict=True)])


@keras.utils.register_keras_serializable("tests")
class Shrunk(layers.DynamicLayer):
    """A loop over values: shrinks each sample as often as it is larger than the limit.

    But 20 times at most: a factor that has learned may be more than 1.
    """

    def __init__(self, limit=1.0, **kwargs):
        super().__init__(**kwargs)
        self.limit = limit

    def build(self, input_shape):
        self.factor = self.add_weight(
            name="factor", shape=(), initializer=keras.initializers.Constant(0.7)
        )
        self.built = True

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def call(self, inputs):
        return tf.stack([self._shrunk(row) for row in inputs]) if len(inputs) else inputs

    def _shrunk(self, row):
        turns = 0
        while float(tf.norm(row)) > self.limit and turns < 20:
            row = row * tf.cast(self.factor, row.dtype)
            turns += 1
        return row

    def get_config(self):
        return {**super().get_config(), "limit": self.limit}


def shrunk(inputs, factor, limit):
    """The outputs, and how often each sample was shrunk."""
    rows, counts = [], []
    for row in np.asarray(inputs, np.float64):
        count = 0
        while np.linalg.norm(row * factor**count) > limit:
            count += 1
        rows.append(row * factor**count)
        counts.append(count)
    return np.stack(rows), np.array(counts)


@keras.utils.register_keras_serializable("tests")
class Matched(layers.DynamicLayer):
    """A library: puts points in the order that is nearest to that of the targets."""

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0])

    def call(self, inputs):
        points, targets = inputs
        squares = tf.square(targets[:, :, tf.newaxis] - points[:, tf.newaxis])
        costs = tf.cast(tf.reduce_sum(squares, axis=-1), tf.float64).numpy()
        order = [scipy.optimize.linear_sum_assignment(cost)[1] for cost in costs]
        order = np.reshape(order, costs.shape[:2]).astype(int)
        return tf.gather(points, order, batch_dims=1)


@keras.utils.register_keras_serializable("tests")
class Counted(layers.DynamicLayer):
    """NumPy, and integers out of integers: how often each of the numbers is in a sample."""

    output_dtypes = "int64"

    def __init__(self, size=4, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.size)

    def call(self, inputs):
        counts = [np.bincount(row, minlength=self.size) for row in inputs.numpy()]
        return np.reshape(counts, (len(counts), self.size)).astype("int64")

    def get_config(self):
        return {**super().get_config(), "size": self.size}


@keras.utils.register_keras_serializable("tests")
class Everything(layers.MetricTracking, layers.DynamicLayer):
    """State, randomness, a loss, metrics and sublayers; `call` can be traced too."""

    def __init__(self, units=3, rate=0.3, keras_dropout=False, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.units = units
        self.rate = rate
        self.keras_dropout = keras_dropout
        self.declare_metric("size", "mean")

    def build(self, input_shape):
        features, same = input_shape[-1], {"dtype": self.dtype_policy}
        self.cell = keras.layers.LSTMCell(self.units, **same)
        self.cell.build((None, features))
        self.norm = keras.layers.BatchNormalization(**same)
        self.norm.build((None, self.units))
        self.block = layers.BatchNormDropout(None, rate=self.rate, seed=1, **same)
        self.block.build((None, None, features))
        rate = 0.4 if self.keras_dropout else 0.0
        self.dropout = keras.layers.Dropout(rate, seed=2, **same)
        self.table = keras.layers.Embedding(3, self.units, **same)
        self.table.build((None,))
        self.calls = self.add_weight(name="calls", initializer="zeros", trainable=False)
        self.built = True

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units)

    def call(self, inputs, training=None, mask=None):
        steps = self.block(inputs, training=training, mask=mask)
        state = [tf.zeros((tf.shape(inputs)[0], self.units), steps.dtype)] * 2
        for step in range(inputs.shape[1]):
            _, moved = self.cell(steps[:, step], state)
            keep = True if mask is None else mask[:, step, tf.newaxis]
            state = [tf.where(keep, new, old) for new, old in zip(moved, state, strict=True)]
        first = inputs[:, 0]
        if mask is not None:
            first = tf.where(mask[:, :1], first, tf.zeros_like(first))
        positive = tf.cast(tf.reduce_sum(first, axis=-1) > 0, tf.int32)
        x = self.norm(state[0], training=training) + self.table(positive)
        x = self.dropout(x, training=training)
        self.add_loss(0.1 * tf.reduce_mean(tf.square(tf.cast(x, tf.float32))))
        self.update_metric("size", tf.abs(x))
        if training and self.trainable:
            self.calls.assign_add(1.0)
        return x

    def compute_mask(self, inputs, mask=None):
        return None

    def get_config(self):
        own = {"units": self.units, "rate": self.rate, "keras_dropout": self.keras_dropout}
        return {**super().get_config(), **own}


@keras.utils.register_keras_serializable("tests")
class Brief(layers.MetricTracking, layers.DynamicLayer):
    """A little of everything, and so quick to trace: averages the steps, and projects them."""

    synchronized = False  # each replica has statistics of its own

    def __init__(self, units=3, rate=0.3, keras_dropout=False, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.units = units
        self.rate = rate
        self.keras_dropout = keras_dropout
        self.declare_metric("size", "mean")

    def build(self, input_shape):
        features, same = input_shape[-1], {"dtype": self.dtype_policy}
        self.kernel = self.add_weight(name="kernel", shape=(features, self.units))
        self.block = layers.BatchNormDropout(None, rate=self.rate, seed=1, **same)
        self.block.build((None, None, features))
        rate = 0.4 if self.keras_dropout else 0.0
        self.dropout = keras.layers.Dropout(rate, seed=2, **same)
        self.calls = self.add_weight(name="calls", initializer="zeros", trainable=False)
        self.built = True

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units)

    def call(self, inputs, training=None, mask=None):
        x = self.block(inputs, training=training, mask=mask)
        valid = tf.ones(tf.shape(x)[:2], x.dtype) if mask is None else tf.cast(mask, x.dtype)
        sums = tf.reduce_sum(tf.where(valid[..., tf.newaxis] > 0, x, tf.zeros_like(x)), axis=1)
        means = tf.math.divide_no_nan(sums, tf.reduce_sum(valid, axis=1, keepdims=True))
        x = self.dropout(means @ self.kernel, training=training)
        squares = tf.reduce_sum(tf.square(tf.cast(x, tf.float32)))
        self.add_loss(tf.math.divide_no_nan(squares, tf.cast(tf.size(x), tf.float32)))
        self.update_metric("size", tf.abs(x))
        if training and self.trainable:
            self.calls.assign_add(1.0)
        return x

    @property
    def random_state(self):
        return self.block.random_state

    def compute_mask(self, inputs, mask=None):
        return None

    def get_config(self):
        own = {"units": self.units, "rate": self.rate, "keras_dropout": self.keras_dropout}
        return {**super().get_config(), **own}


def step(layer, inputs, **kwargs):
    """Outputs, sum of losses, gradients to inputs and to weights of one call in a mode."""
    inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
    if not layer.built:
        layer.build(tf.nest.map_structure(lambda tensor: tuple(tensor.shape), inputs))
    return stepper(layer, **kwargs)(inputs)


def stepper(layer, *, graph, training=True, **kwargs):
    """Such a step of a built layer as a function of the inputs."""

    zero = tf.zeros((), tf.float64)

    def run(inputs):
        with tf.GradientTape() as tape:
            flat = [x for x in tf.nest.flatten(inputs) if x.dtype.is_floating]
            tape.watch(flat)
            outputs = layer(inputs, training=training, **kwargs)
            loss = tf.add_n([zero, *(tf.cast(loss, tf.float64) for loss in layer.losses)])
            total = loss + sum(tf.reduce_sum(weighed(x)) for x in tf.nest.flatten(outputs))
        sources = [flat, _keras.trainable_variables(layer)]
        gradients = tape.gradient(total, sources, unconnected_gradients="zero")
        return outputs, loss, [*map(_dense, gradients)]

    return tf.function(run) if graph else run


def weighed(outputs):
    """Each value by a weight of its own, so that a gradient must have its place and factor."""
    outputs = tf.cast(outputs, tf.float64)
    weights = tf.sin(tf.cast(tf.range(tf.size(outputs)), tf.float64) + 1.0)
    return outputs * tf.reshape(weights, tf.shape(outputs))


def _dense(gradients):
    return [tf.convert_to_tensor(gradient) for gradient in gradients]


def assert_equal_steps(actual, expected, **tolerance):
    """Steps are equal in all that came out of them."""
    tf.nest.assert_same_structure(actual, expected)
    for one, other in zip(tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        np.testing.assert_allclose(
            *(tf.cast(value, tf.float64) for value in (one, other)), **tolerance
        )


def state_of(layer):
    """Every variable's value: weights, random states and metrics."""
    return [tf.convert_to_tensor(variable).numpy() for variable in _variables(layer)]


def give_state(layer, other):
    """Makes every variable of the other layer what it is in the first."""
    for variable, value in zip(_variables(other), state_of(layer), strict=True):
        variable.assign(value)


def _variables(layer):
    metrics = [v for metric in _keras.metrics_of(layer) for v in metric.variables]
    return [*_keras.state_variables(layer), *metrics]
