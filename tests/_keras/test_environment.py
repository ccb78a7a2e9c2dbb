"""Each unusable environment is refused at import, in one sentence that says what to do."""

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys

import pytest

from tfk_patterns._keras import _environment
from tfk_patterns._keras._environment import keras_generation


@pytest.fixture(autouse=True)
def _neutral_environment(monkeypatch, tmp_path):
    for name in ("TF_USE_LEGACY_KERAS", "KERAS_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))


@pytest.fixture
def installed(monkeypatch):
    """Pretends that a version of Keras is installed, and tf-keras or not."""

    def pretend(keras, tf_keras=False):
        found = object() if tf_keras else None
        monkeypatch.setattr(importlib.metadata, "version", lambda name: keras)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)

    return pretend


@pytest.mark.parametrize(("keras", "generation"), [("2.15.0", 2), ("3.15.1", 3), ("3.10.0", 3)])
def test_the_installed_keras_decides(installed, keras, generation):
    installed(keras)
    assert keras_generation() == generation


@pytest.mark.parametrize("value", ["1", "true", "True"])
def test_legacy_keras_is_keras_2(installed, monkeypatch, value):
    installed("3.15.1", tf_keras=True)
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", value)
    assert keras_generation() == 2


@pytest.mark.parametrize("value", ["0", "", "yes"])
def test_other_values_are_not_legacy_as_tensorflow_reads_them(installed, monkeypatch, value):
    installed("3.15.1", tf_keras=True)
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", value)
    assert keras_generation() == 3


def test_legacy_keras_without_tf_keras_is_refused(installed, monkeypatch):
    installed("3.15.1", tf_keras=False)
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    with pytest.raises(ImportError, match=r"`TF_USE_LEGACY_KERAS` is set.*pip install tf-keras"):
        keras_generation()


@pytest.mark.parametrize("version", ["2.14.1", "1.15.0"])
def test_an_old_tensorflow_is_refused(version):
    with pytest.raises(ImportError, match=r"needs TensorFlow 2.15 or newer.*Received: tensorflow"):
        _environment._check_tensorflow(version)


@pytest.mark.parametrize("version", ["3.0.5", "3.9.2"])
def test_an_old_keras_3_is_refused(installed, version):
    installed(version)
    with pytest.raises(ImportError, match=r"needs Keras 3.10 or newer.*Received: keras 3"):
        keras_generation()


@pytest.mark.parametrize("version", ["2.15.0", "2.21.0", "2.22.0-rc1", "3.0.0"])
def test_a_new_tensorflow_is_taken(version):
    _environment._check_tensorflow(version)


def test_another_backend_is_refused_where_it_is_written(installed, monkeypatch, tmp_path):
    installed("3.15.1")
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    with pytest.raises(ImportError, match=r"KERAS_BACKEND=tensorflow. Received: 'jax' from .*json"):
        keras_generation()
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(ImportError, match="Received: 'torch' from KERAS_BACKEND"):
        keras_generation()
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert keras_generation() == 3


def test_keras_2_ignores_the_backend(installed, monkeypatch):
    installed("2.15.0")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert keras_generation() == 2


def test_an_unreadable_config_file_is_passed_over(installed, tmp_path):
    installed("3.15.1")
    (tmp_path / "keras.json").write_text("{not json")
    assert keras_generation() == 3


def test_the_sentence_is_what_a_user_sees(tmp_path):
    """In a process of its own: `tf.keras` would fail first, and say something else."""
    if keras_generation() == 2:
        pytest.skip("only Keras 3 is installed with other backends to choose from")
    result = subprocess.run(
        [sys.executable, "-c", "import tfk_patterns"],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": os.getcwd()},
        cwd=tmp_path,
    )
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: tfk_patterns extends `tf.keras`")
