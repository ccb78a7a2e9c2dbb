"""Files of weights."""

import tempfile
from pathlib import Path

from tfk_patterns import _keras
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import blamed
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.saving import files

_HINT = (
    "A file of weights holds what each layer and sublayer saves, in the order in which it was "
    "made. Make weights and sublayers in `__init__` or `build`, in a fixed order, as attributes "
    "or in lists; and let `save_own_variables` and `load_own_variables` mirror one another."
)


@define_check(
    follows=files.FOLLOWS,
    link="https://keras.io/api/models/model_saving_apis/weights_saving_and_loading/",
)
def weights_file(subject):
    """Weights from a file go to the same places of a fresh layer, which then does the same.

    Bug: A layer that saves its variables itself must save and load each of them. One that was added
    later and forgotten there comes back as it was initialized: loading succeeds, and the model
    predicts something else (https://keras.io/guides/customizing_saving_and_serialization/).

    Broken::

        class Affine(keras.layers.Layer):
            def build(self, input_shape):
                self.scale = self.add_weight(name="scale", shape=input_shape[-1:])
                self.offset = self.add_weight(name="offset", shape=input_shape[-1:])
                self.built = True

            def call(self, inputs):
                return inputs * self.scale + self.offset

            def save_own_variables(self, store):
                store["scale"] = self.scale.numpy()

            def load_own_variables(self, store):
                self.scale.assign(store["scale"])


        case = LayerCase(Affine, steps)

    Mended::

        class Affine(keras.layers.Layer):  # Keras saves what `add_weight` made
            def build(self, input_shape):
                self.scale = self.add_weight(name="scale", shape=input_shape[-1:])
                self.offset = self.add_weight(name="offset", shape=input_shape[-1:])
                self.built = True

            def call(self, inputs):
                return inputs * self.scale + self.offset


        case = LayerCase(Affine, steps)
    """
    saved = files.to_save(subject)
    if not saved.model.weights:
        subject.skip_if_nothing("the layer has no weights")
    with equal_circumstances(), tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "model.weights.h5"))
        with blamed("the weights cannot be saved", "save_weights", _HINT):
            saved.model.save_weights(path)
        model = _fresh_model(subject, saved)
        with blamed("the weights cannot be loaded into a fresh layer", "load_weights", _HINT):
            model.load_weights(path)
    files.compare_models(subject, saved, model, "load_weights into a fresh layer", _HINT)


def _fresh_model(subject, saved):
    fresh = subject.reference.fresh()
    if _keras.recurrent_states(saved.layer):
        subject.reference.built(fresh)  # it can only be built for one batch size
    return subject.functional(fresh)
