"""SavedModels."""

import contextlib
import io
import tempfile

import tensorflow as tf

from tfk_patterns import _keras
from tfk_patterns.parity.check import define_check
from tfk_patterns.parity.data import tensors_of
from tfk_patterns.parity.errors import blamed, in_one_line
from tfk_patterns.parity.outcome import Skip
from tfk_patterns.parity.reference import equal_circumstances
from tfk_patterns.parity.repeating import why_not_compared
from tfk_patterns.parity.saving import files

_HINT = (
    "A SavedModel holds the traced graph, and the variables, tables and files that are attributes "
    "of the layer, or in lists and dicts of it: nothing that Python does. Keep tables and "
    "variables there, and compute with tf ops alone."
)


@define_check(
    follows=(*files.FOLLOWS, "training_argument", "batch_sizes", "unknown_dimensions"),
    link="https://www.tensorflow.org/guide/saved_model",
)
def export(subject):
    """A SavedModel gives the outputs of the model that was exported.

    Bug: A SavedModel holds what hangs on attributes of the layer. A lookup table that is an
    attribute of the class, a global variable or in a closure works in `fit` and `predict`; the
    export, at the end of all work, fails with "untracked resource"
    (https://github.com/tensorflow/tensorflow/issues/57363).

    Broken::

        class Places(keras.layers.Layer):
            table = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer([10, 20, 30], [1, 2, 3]), default_value=0
            )

            def call(self, inputs):
                return self.table.lookup(inputs)


        case = LayerCase(Places, np.int32([[10, 30], [20, 40]]))

    Mended::

        class Places(keras.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.lookup = keras.layers.IntegerLookup(vocabulary=[10, 20, 30])

            def build(self, input_shape):
                self.lookup.build(input_shape)
                self.built = True

            def call(self, inputs):
                return self.lookup(inputs)


        case = LayerCase(Places, np.int32([[10, 30], [20, 40]]))
    """
    reason = why_not_compared(subject, training=False)
    if reason:
        raise Skip(reason)
    saved = files.to_save(subject)
    files.skip_what_keras_cannot_export(subject, saved.model)
    with tempfile.TemporaryDirectory() as folder:
        with blamed("the model cannot be exported", "model.export", _HINT):
            _export(saved.model, folder)
        with blamed("the SavedModel cannot be loaded", "tf.saved_model.load", _HINT):
            loaded = tf.saved_model.load(folder)
        if _runs_python(loaded):
            raise Skip(
                "uses tf.py_function or tf.numpy_function: a SavedModel does not hold its Python "
                "code, so that another process cannot run it"
            )
        wanted = files.call_model(saved.model, subject.data)["outputs"]
        with blamed("the SavedModel cannot be called", "SavedModel", _HINT), equal_circumstances():
            found = files.as_arrays(_keras.call_exported(loaded, tensors_of(subject.data)))
    subject.compare(wanted, found, "SavedModel", "outputs", _HINT, "the exported model")


def _export(model, folder):
    """Exports, or skips where a layer refuses to be, or Keras loses what TensorFlow can save."""
    try:
        with _quietly():
            model.export(folder)
    except NotImplementedError as error:
        raise Skip(f"it says so: {in_one_line(error, 200)}") from error
    except AssertionError as error:
        if "untracked" not in str(error) or not _is_saved_by_tensorflow(model):
            raise
        raise Skip("Keras' own `export` does not track what `tf.saved_model.save` does") from error


def _is_saved_by_tensorflow(model) -> bool:
    try:
        with tempfile.TemporaryDirectory() as folder, _quietly():
            tf.saved_model.save(model, folder)
    except AssertionError:
        return False
    return True


@contextlib.contextmanager
def _quietly():
    """Keras 3 prints what it has exported."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("WARNING")
    try:
        with equal_circumstances(), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def _runs_python(loaded) -> bool:
    graph_def = loaded.signatures["serving_default"].graph.as_graph_def()
    bodies = [graph_def.node, *(body.node_def for body in graph_def.library.function)]
    return any("PyFunc" in node.op for nodes in bodies for node in nodes)
