"""Models with all that has a state: statistics, random numbers, pending groups, loss scales."""

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras, layers, models

SETTINGS = {
    "one": {},
    "steps": {"loop": {"save_freq": 3}},
    "replicas": {"model": {"replicas": 2}, "loop": {"save_freq": 4}},
    "accumulation": {"model": {"kind": "accumulation"}, "loop": {"save_freq": 4}},
    "executions": {"model": {"steps_per_execution": 3}, "loop": {"save_freq": 2}},
    "mixed": {"model": {"policy": "mixed_float16"}, "loop": {"save_freq": 5}},
    "optimizers": {"model": {"kind": "optimizers"}, "loop": {"save_freq": 3}},
}


class TwoOptimizers(keras.Sequential):
    """Trains its last layer, and the others, by an optimizer each."""

    def prepare(self):
        self.other_optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
        *others, kernel, bias = self.trainable_variables
        self.groups = [(self.optimizer, others), (self.other_optimizer, [kernel, bias])]
        for optimizer, variables in self.groups:
            optimizer.build(variables)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape(persistent=True) as tape:
            predictions = self(x, training=True)
            loss = tf.reduce_mean(tf.square(predictions - y)) + tf.add_n(self.losses)
        for optimizer, variables in self.groups:
            gradients = tape.gradient(loss, [_keras.tensorflow_variable(v) for v in variables])
            optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {"loss": loss}


CLASSES = {
    "plain": keras.Sequential,
    "accumulation": models.GradientAccumulationModel,
    "optimizers": TwoOptimizers,
}


def stateful_layers():
    """An input of six numbers, and layers with statistics, and with random numbers."""
    return [
        keras.Input((6,)),
        layers.RunningStandardizer(),
        keras.layers.Dense(8, "tanh", kernel_regularizer="l2"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.2),
        layers.BatchNormDropout(rate=0.2, seed=3),
        layers.ActivationMonitor(name="monitor"),
        keras.layers.Dense(2, dtype="float32"),
    ]


def compiled_model(kind="plain", replicas=1, policy=None, **arguments):
    """A model ready for `fit`; the same each time."""
    if _keras.GENERATION == 2:
        keras.backend.experimental.enable_tf_random_generator()
    if policy:
        keras.mixed_precision.set_global_policy(policy)
    keras.utils.set_random_seed(1)
    with strategy_of(replicas).scope():
        options = {"steps": 3, "last_group": "carry"} if kind == "accumulation" else {}
        model = CLASSES[kind](stateful_layers(), **options)
        model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"], **arguments)
        if kind == "optimizers":
            model.prepare()
    return model


def strategy_of(replicas):
    """The strategy of so many devices."""
    if replicas == 1:
        return tf.distribute.get_strategy()
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * replicas,
    )
    return tf.distribute.MirroredStrategy(
        [f"CPU:{index}" for index in range(replicas)],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
