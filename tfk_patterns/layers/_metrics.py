"""Metrics that Keras lacks: extremes and the standard deviation, right over replicas too."""

import functools

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras

_LOWEST = float("-inf")


class ZeroedMetric(keras.metrics.Metric):
    """A metric of which zeros are the empty state, whatever the shapes of its variables."""

    def reset_state(self) -> None:
        for variable in self.variables:
            variable.assign(tf.zeros(variable.shape, variable.dtype))


class _RowPerReplica(ZeroedMetric):
    """Its state has a row for each replica, which writes that one alone.

    Keras adds up what replicas hold, so that all rows are read together.
    """

    columns = 2

    def __init__(self, name=None, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self._replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self.rows = self.add_weight(
            name="rows", shape=(self._replicas, self.columns), initializer="zeros"
        )

    def update_state(self, values, sample_weight=None):
        """Takes values of any shape, and weights of the same shape."""
        rows = tf.convert_to_tensor(self.rows)
        values = tf.cast(values, rows.dtype)
        weights = None if sample_weight is None else tf.cast(sample_weight, rows.dtype)
        context = tf.distribute.get_replica_context()
        replica = 0 if context is None else context.replica_id_in_sync_group
        updated = tf.stack(self.updated(rows[replica], values, weights))
        own = tf.one_hot(replica, self._replicas, True, False, dtype=tf.bool)
        self.rows.assign(tf.where(own[:, tf.newaxis], updated, rows))

    def result(self):
        return self.joined(tf.unstack(tf.convert_to_tensor(self.rows), axis=1))

    def updated(self, row, values, weights):
        """The columns of a row after values were added; `weights` may be `None`."""
        raise NotImplementedError(f"{type(self).__name__} must implement updated().")

    def joined(self, columns):
        """The result of all rows, column by column."""
        raise NotImplementedError(f"{type(self).__name__} must implement joined().")


class _Extreme(_RowPerReplica):
    """Columns: the largest value times the sign, and whether there was one."""

    sign = 1.0

    def updated(self, row, values, weights):
        signed, any_counted = self.sign * values, tf.size(values) > 0
        if weights is not None:
            signed = tf.where(weights > 0, signed, _LOWEST)
            any_counted = tf.reduce_any(weights > 0)
        largest = tf.reduce_max(signed)
        largest = tf.where(row[1] > 0, tf.maximum(row[0], largest), largest)
        there = tf.where(any_counted, tf.ones_like(row[1]), row[1])
        return tf.where(any_counted, largest, row[0]), there

    def joined(self, columns):
        largest, there = columns
        largest = tf.reduce_max(tf.where(there > 0, largest, _LOWEST))
        return tf.where(tf.reduce_any(there > 0), self.sign * largest, tf.zeros_like(largest))


@_keras.register
class Max(_Extreme):
    """The largest value; 0 before any."""


@_keras.register
class Min(_Extreme):
    """The smallest value; 0 before any."""

    sign = -1.0


@_keras.register
class Std(_RowPerReplica):
    """The standard deviation of all values, by Chan, Golub and LeVeque's update; 0 before any.

    Columns: the sum of the weights, the mean, and the sum of weighted squares about it.
    """

    columns = 3

    def updated(self, row, values, weights):
        weighted = tf.identity if weights is None else functools.partial(tf.multiply, weights)
        size = tf.cast(tf.size(values), values.dtype)
        count = size if weights is None else tf.reduce_sum(weights)
        mean = tf.math.divide_no_nan(tf.reduce_sum(weighted(values)), count)
        squares = tf.reduce_sum(weighted(tf.math.squared_difference(values, mean)))
        total = row[0] + count
        share = tf.math.divide_no_nan(count, total)
        delta = mean - row[1]
        squares += row[2] + tf.square(delta) * row[0] * share
        return total, row[1] + delta * share, squares

    def joined(self, columns):
        counts, means, squares = columns
        count = tf.reduce_sum(counts)
        mean = tf.math.divide_no_nan(tf.reduce_sum(counts * means), count)
        squares = tf.reduce_sum(squares + counts * tf.square(means - mean))
        return tf.sqrt(tf.math.divide_no_nan(squares, count))
