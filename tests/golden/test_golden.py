"""Files that earlier releases saved load, and predict what they predicted then."""

import numpy as np
import pytest
from tensorflow import keras

import tfk_patterns
from tests.golden.make import (
    FOLDER,
    build_model,
    build_trained_models,
    example_inputs,
    features,
)
from tfk_patterns import _keras, layers, models

RELEASES = sorted(path.name for path in FOLDER.iterdir() if path.name[0].isdigit())


STEMS = [path.with_suffix("") for path in sorted(FOLDER.glob(f"*/*keras{_keras.GENERATION}.keras"))]


@pytest.mark.parametrize("stem", STEMS, ids=lambda stem: f"{stem.parent.name}-{stem.name}")
def test_files_of_every_release_load(stem):
    expected = np.load(stem.with_suffix(".npz"))
    model = keras.models.load_model(stem.with_suffix(".keras"), safe_mode=True)
    inputs = features() if "-" in stem.name else example_inputs()
    np.testing.assert_allclose(
        model.predict(inputs, verbose=0), expected["predictions"], rtol=1e-5, atol=1e-6
    )
    targets = np.ones_like(expected["predictions"])
    loss = model.evaluate(inputs, targets, verbose=0)
    np.testing.assert_allclose(loss, expected["loss"], rtol=1e-5)
    if "-" in stem.name:
        assert (
            type(model).__name__ == type(build_trained_models()[stem.name.split("-")[0]]).__name__
        )
        model.fit(inputs, targets, verbose=0)


def test_this_release_has_its_file_with_every_layer():
    assert tfk_patterns.__version__ in RELEASES
    saved = {type(layer) for layer in build_model().layers}
    public = {cls for cls in vars(layers).values() if isinstance(cls, type)}
    bases = {layers.BaseActivityRegularization, layers.DynamicLayer, layers.MetricTracking}
    assert public - saved == bases


def test_this_release_has_a_file_of_every_model():
    names = {type(model).__name__ for model in build_trained_models().values()}
    assert names == set(models.__all__)
    saved = {stem.name.split("-")[0] for stem in STEMS if "-" in stem.name}
    assert saved == set(build_trained_models())
