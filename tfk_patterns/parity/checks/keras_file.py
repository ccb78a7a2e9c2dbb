"""Files of whole models."""

from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.errors import blamed
from tfk_patterns.parity.saving import files, reloading

_HINT = (
    "A `.keras` file holds each layer's config, the shapes it was built with, and its weights. "
    "`from_config` and then `build` must make all of its weights: build sublayers in `build` "
    "(`self.inner.build(shape)`), and set what is not trainable where they are made."
)


@define_check(
    follows=(*files.FOLLOWS, "config", "weights_file", "loss_lifetime"),
    link="https://keras.io/guides/serialization_and_saving/",
)
def keras_file(subject):
    """A model that comes back from a `.keras` file has its weights, outputs and losses.

    What was trainable is trainable in it, and nothing else.

    Bug: The file holds what the config says. A layer inside that was frozen by hand is trainable in
    the loaded model: training that goes on moves the pretrained weights, or the state of the
    optimizer no longer fits (https://github.com/keras-team/keras/issues/9589).

    Broken::

        class Features(keras.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.dense = keras.layers.Dense(3)

            def build(self, input_shape):
                self.dense.build(input_shape)
                self.built = True

            def call(self, inputs):
                return self.dense(inputs)


        def frozen_features():
            layer = Features()
            layer.dense.trainable = False
            return layer


        case = LayerCase(frozen_features, steps)

    Mended::

        class Features(keras.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.dense = keras.layers.Dense(3, trainable=False)

            def build(self, input_shape):
                self.dense.build(input_shape)
                self.built = True

            def call(self, inputs):
                return self.dense(inputs)


        case = LayerCase(Features, steps)
    """
    files.require_no_python_code(subject)
    saved = files.to_save(subject)
    with blamed("the model cannot be saved and loaded again", ".keras file", _HINT):
        model = reloading.from_keras_file(saved.model, reloading.custom_objects(saved.layer))
    files.compare_models(subject, saved, model, "the model from a .keras file", _HINT)
