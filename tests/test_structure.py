"""Rules of the house, each with why and what to do instead."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tensorflow import keras

import tfk_patterns
from tfk_patterns import layers, models

PACKAGE = Path(tfk_patterns.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

STRAYS = {
    r"TF_USE_LEGACY_KERAS|tf_keras|\bGENERATION\b": (
        "asks which Keras is loaded: put what differs into both twins of tfk_patterns/_keras"
    ),
    r"keras\.src|tensorflow\.python|tensorflow\.compiler": (
        "imports a private module, which moves between releases: use the public name"
    ),
    r"keras\.__version__|hasattr\(keras": (
        "guesses the generation from Keras itself: use a function of tfk_patterns/_keras"
    ),
    r"^\s*(import keras|from keras)\b": (
        "imports Keras past TensorFlow: use `from tensorflow import keras`"
    ),
}
# Who may import whom, inside the package: folder -> folders it may import.
SHARED = {"_command_line", "_keras", "_kept_values", "_replicas", "_validate", "_render"}
MAY_IMPORT = {
    "layers": SHARED,
    "models": SHARED | {"layers"},
    "parity": SHARED,
    "training": SHARED,
    "_commands": SHARED | {"parity"},
    "_keras": set(),
}


@pytest.mark.parametrize("rule", STRAYS)
def test_only_the_adapter_knows_which_keras_is_loaded(rule):
    for path in SOURCES:
        if path.parent.name != "_keras":
            found = re.search(rule, path.read_text(), re.MULTILINE)
            assert not found, f"{path.relative_to(PACKAGE)} {STRAYS[rule]}: {found.group()!r}"


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_folders_import_only_what_they_may(folder):
    for path in (PACKAGE / folder).rglob("*.py"):
        for name in imported_parts(path):
            assert name in MAY_IMPORT[folder] | {folder}, (
                f"{path.relative_to(PACKAGE)} imports tfk_patterns.{name}; {folder} may import "
                f"{sorted(MAY_IMPORT[folder])}"
            )


def imported_parts(path):
    """The parts of this package that a file imports: `layers` of `tfk_patterns.layers.x`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "tfk_patterns":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tfk_patterns."):
            yield node.module.split(".")[1]


def test_the_public_layers_are_layers_what_helps_to_write_them_and_nothing_else():
    helpers = {layers.MetricTracking, layers.autograph_call}
    public = {n: v for n, v in vars(layers).items() if not n.startswith("_")}
    things = {n: v for n, v in public.items() if not isinstance(v, type(layers))}
    assert len(things) >= 17
    for name, thing in things.items():
        assert thing in helpers or issubclass(thing, keras.layers.Layer), name
        assert thing.__name__ == name


def test_the_public_models_are_models_and_nothing_else():
    public = {n: v for n, v in vars(models).items() if not n.startswith("_")}
    things = {n: v for n, v in public.items() if not isinstance(v, type(models))}
    assert set(things) == set(models.__all__)
    for name, thing in things.items():
        assert issubclass(thing, models.TrainStepModel)
        assert thing.__name__ == name


def test_every_public_layer_and_model_is_registered_under_the_package():
    for name, cls in {**vars(layers), **vars(models)}.items():
        if isinstance(cls, type) and issubclass(cls, keras.layers.Layer):
            registered = keras.utils.get_registered_name(cls)
            assert registered == f"tfk_patterns>{name}"


def test_nothing_heavy_is_imported_with_the_package(tmp_path):
    """What `import tfk_patterns` adds to TensorFlow and Keras are its own files."""
    script = (
        "import sys, tensorflow as tf; tf.keras.layers; before = set(sys.modules)\n"
        "import tfk_patterns\n"
        "added = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(added - sys.stdlib_module_names))"
    )
    output = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
        check=True,
    ).stdout
    assert output.strip() == "['tfk_patterns']"


def test_files_stay_readable():
    for path in SOURCES:
        lines = len(path.read_text().splitlines())
        assert lines <= 300, f"{path.relative_to(PACKAGE)} has {lines} lines: it holds two things"
