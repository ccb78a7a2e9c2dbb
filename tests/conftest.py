"""Circumstances of every test: two logical CPU devices, one thread each, equal seeds."""

import os

# Before TensorFlow is imported: it reads them once.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
import tensorflow as tf
from tensorflow import keras

import tfk_patterns._keras

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


def pytest_report_header() -> str:
    """Names the leg: the versions, and the generation that `tf.keras` is."""
    return f"tensorflow {tf.__version__}, tf.keras is Keras {tfk_patterns._keras.GENERATION}"


@pytest.fixture(autouse=True)
def _equal_seeds():
    keras.utils.set_random_seed(0)


@pytest.fixture
def two_replicas():
    """A strategy with two replicas on the two logical CPU devices."""
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
