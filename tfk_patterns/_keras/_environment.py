"""Which Keras `tf.keras` will be, found out before it is loaded."""

import importlib.metadata
import importlib.util
import json
import os
from pathlib import Path

import tensorflow as tf

_LEGACY_VALUES = ("true", "True", "1")  # as TensorFlow's own loader reads them


def keras_generation() -> int:
    """Returns 2 or 3, or raises one sentence that says what to change.

    It reads what TensorFlow and Keras will read, and touches `tf.keras` itself not at all: with a
    backend other than TensorFlow that alone fails with a misleading message.

    Raises:
        ImportError: The installed TensorFlow or Keras, or the environment, cannot be used.
    """
    _check_tensorflow(tf.__version__)
    if os.environ.get("TF_USE_LEGACY_KERAS") in _LEGACY_VALUES:
        if importlib.util.find_spec("tf_keras") is None:
            raise ImportError(
                "`TF_USE_LEGACY_KERAS` is set, but tf-keras, the package it makes `tf.keras` use, "
                "is not installed: run `pip install tf-keras`, or unset the variable. "
                f"Received: TF_USE_LEGACY_KERAS={os.environ['TF_USE_LEGACY_KERAS']}"
            )
        return 2
    version = importlib.metadata.version("keras")
    if _major_minor(version) < (3, 0):
        return 2
    _check_keras_3(version)
    _check_backend()
    return 3


def _major_minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def _check_keras_3(version: str) -> None:
    if _major_minor(version) < (3, 10):  # the first whose variables can be synchronized on read
        raise ImportError(
            "tfk_patterns needs Keras 3.10 or newer, or Keras 2: run `pip install --upgrade "
            f"keras`. Received: keras {version}"
        )


def _check_tensorflow(version: str) -> None:
    if _major_minor(version) < (2, 15):
        raise ImportError(
            "tfk_patterns needs TensorFlow 2.15 or newer: run `pip install --upgrade tensorflow`. "
            f"Received: tensorflow {version}"
        )


def _check_backend() -> None:
    backend, source = _configured_backend()
    if backend != "tensorflow":
        raise ImportError(
            "tfk_patterns extends `tf.keras`, so Keras 3 must run on its TensorFlow backend: set "
            f"the environment variable KERAS_BACKEND=tensorflow. Received: {backend!r} from "
            f"{source}"
        )


def _configured_backend() -> tuple[str, str]:
    """The backend that Keras 3 will choose, and where it is written."""
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], "KERAS_BACKEND"
    home = os.path.expanduser("~")
    base = home if os.access(home, os.W_OK) else "/tmp"  # where Keras itself looks
    folder = os.environ.get("KERAS_HOME", os.path.join(base, ".keras"))
    path = Path(os.path.expanduser(folder), "keras.json")
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError):  # Keras, too, passes over a file that it cannot read
        config = {}
    return config.get("backend", "tensorflow"), str(path)
