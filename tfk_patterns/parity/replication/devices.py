"""Two replicas on one machine."""

import functools

import tensorflow as tf

from tfk_patterns.parity.outcome import Skip


@functools.cache
def two_replicas() -> tf.distribute.Strategy:
    """A strategy with a replica on each of two logical CPU devices.

    Raises:
        Skip: TensorFlow was started with one; the reason says how to start it with two.
    """
    devices = tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        raise Skip(
            "TensorFlow runs with one CPU device: before it starts, call "
            "tf.config.set_logical_device_configuration(tf.config.list_physical_devices('CPU')[0], "
            "[tf.config.LogicalDeviceConfiguration()] * 2)"
        )
    # The default reduction fails on CPUs for a second strategy in a process.
    return tf.distribute.MirroredStrategy(
        [device.name for device in devices[:2]],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
