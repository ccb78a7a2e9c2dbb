"""What instances share, and what they do to the rest of the process."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.parity.broken import broken
from tfk_patterns import _keras

_PROJECTIONS = {}


class CachedProjection(keras.layers.Layer):
    """Keeps projections in a module: two layers of one size train the same weights."""

    def build(self, input_shape):
        units = input_shape[-1]
        if units not in _PROJECTIONS:
            _PROJECTIONS[units] = keras.layers.Dense(
                units, kernel_initializer="identity", name="projection"
            )
            _PROJECTIONS[units].build((None, units))
        self.projection = _PROJECTIONS[units]
        self.built = True

    def call(self, inputs):
        return tf.cast(self.projection(inputs), self.compute_dtype)


class MutableDefault(keras.layers.Layer):
    """Collects the names of its instances in a default argument."""

    def __init__(self, names=[], **kwargs):  # noqa: B006
        super().__init__(**kwargs)
        names.append(self.name)
        self.names = names

    def get_config(self):
        return {**super().get_config(), "names": list(self.names)}

    def call(self, inputs):
        return tf.identity(inputs)


class CountsInstances(keras.layers.Layer):
    """Counts its instances in the class."""

    instances = 0

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        type(self).instances += 1

    def call(self, inputs):
        return tf.identity(inputs)


class SeedsNumPy(keras.layers.Layer):
    """Seeds NumPy for the whole process to have the same projection each time."""

    def build(self, input_shape):
        np.random.seed(42)
        matrix = np.random.normal(size=(input_shape[-1], 2))
        self.matrix = self.add_weight(
            name="matrix",
            shape=matrix.shape,
            initializer=keras.initializers.Constant(matrix),
            trainable=False,
        )
        self.built = True

    def call(self, inputs):
        return tf.matmul(inputs, tf.convert_to_tensor(self.matrix))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 2)


class SetsDtypePolicy(keras.layers.Layer):
    """Sets the policy of the process where it wants one of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        keras.mixed_precision.set_global_policy("mixed_bfloat16")

    def call(self, inputs):
        return tf.identity(inputs)


class RunsFunctionsEagerly(keras.layers.Layer):
    """Turns tf.function off, for everybody."""

    def build(self, input_shape):
        tf.config.run_functions_eagerly(True)
        self.built = True

    def call(self, inputs):
        return tf.identity(inputs)


_CHECK = "shared_state"
_DEFAULT = "layer.names" if _keras.GENERATION == 2 else "default argument 1 of MutableDefault."

BROKEN = [
    broken(_CHECK, CachedProjection, "is one and the same object in two layers"),
    broken(_CHECK, MutableDefault, _DEFAULT),
    broken(_CHECK, CountsInstances, "changes CountsInstances.instances from"),
    broken(_CHECK, SeedsNumPy, "seeds NumPy's global random generator"),
    broken(_CHECK, SetsDtypePolicy, "making the layer changes the dtype policy from 'float32'"),
    broken(_CHECK, RunsFunctionsEagerly, "changes the tf.config.run_functions_eagerly"),
]
