"""The package as others install it."""

import os
import pathlib
import subprocess
import sys
import venv
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]
USE = """
import sys
from tensorflow import keras
import tfk_patterns
assert tfk_patterns.__file__.startswith(sys.prefix), tfk_patterns.__file__
pooling = tfk_patterns.layers.MaskedPooling1D("max")
print(keras.Sequential([keras.Input((3, 2)), pooling]).output_shape)
"""


def _run(*command, cwd):
    # A fresh machine, with the Keras that comes with TensorFlow.
    environment = {key: value for key, value in os.environ.items() if key != "TF_USE_LEGACY_KERAS"}
    finished = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, ROOT, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.slow
@pytest.mark.xdist_group("packaging")
def test_the_wheel_holds_the_package_its_type_marker_and_the_plugin_alone(wheel):
    archive = zipfile.ZipFile(wheel)
    names = archive.namelist()
    metadata = wheel.name.rsplit("-", 3)[0] + ".dist-info"
    assert "tfk_patterns/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"tfk_patterns", "pytest_tfk_patterns.py", metadata}
    assert "tfk_patterns = pytest_tfk_patterns" in archive.read(
        f"{metadata}/entry_points.txt"
    ).decode("utf-8")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.xdist_group("packaging")
def test_the_wheel_installs_into_an_empty_environment_and_works(wheel, tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    _run(python, "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    assert _run(python, "-c", USE, cwd=tmp_path).strip() == "(None, 2)"
