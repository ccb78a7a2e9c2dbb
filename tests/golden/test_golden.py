"""Files that earlier releases saved load, and predict what they predicted then."""

import numpy as np
import pytest
from tensorflow import keras

import tfk_patterns
from tests.golden.make import FOLDER, build_model, example_inputs
from tfk_patterns import _keras, layers

RELEASES = sorted(path.name for path in FOLDER.iterdir() if path.name[0].isdigit())


@pytest.mark.parametrize("release", RELEASES)
def test_files_of_every_release_load(release):
    stem = FOLDER / release / f"keras{_keras.GENERATION}"
    expected = np.load(stem.with_suffix(".npz"))
    model = keras.models.load_model(stem.with_suffix(".keras"), safe_mode=True)
    inputs = example_inputs()
    np.testing.assert_allclose(
        model.predict(inputs, verbose=0), expected["predictions"], rtol=1e-5, atol=1e-6
    )
    loss = model.evaluate(inputs, np.ones((3, 2), "float32"), verbose=0)
    np.testing.assert_allclose(loss, expected["loss"], rtol=1e-5)


def test_this_release_has_its_file_with_every_layer():
    assert tfk_patterns.__version__ in RELEASES
    saved = {type(layer) for layer in build_model().layers}
    public = {cls for cls in vars(layers).values() if isinstance(cls, type)}
    bases = {layers.BaseActivityRegularization, layers.DynamicLayer, layers.MetricTracking}
    assert public - saved == bases
