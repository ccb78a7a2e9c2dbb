"""Two replicas on one machine."""

import contextlib
import functools

import tensorflow as tf

from tfk_patterns.parity.outcome import Skip


def make_two_devices() -> None:
    """Gives TensorFlow two CPU devices, unless it has started or was told how many it has."""
    cpus = tf.config.list_physical_devices("CPU")
    if not cpus or tf.config.get_logical_device_configuration(cpus[0]):
        return
    # It refuses once it has started; `two_replicas` then says what to do.
    with contextlib.suppress(RuntimeError):
        tf.config.set_logical_device_configuration(
            cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )


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
