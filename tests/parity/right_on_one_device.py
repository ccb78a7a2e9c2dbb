"""Right models whose batch is more than its samples: on replicas they are others."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.broken_models import Tracked, TwoLayers, replica_count


class Contrastive(Tracked):
    """Tells each sample, moved a little, from the others in the batch."""

    outputs_of_a_sample = 3

    def loss_and_outputs(self, x, y, sample_weight, training=True):
        outputs = self(x, training=training)
        moved = self(1.1 * x + 0.1, training=training)
        similar = tf.matmul(outputs, moved, transpose_b=True)
        losses = keras.losses.sparse_categorical_crossentropy(
            tf.range(tf.shape(x)[0]), similar, from_logits=True
        )
        return tf.reduce_mean(losses) / replica_count(), outputs

    def test_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        loss, outputs = self.loss_and_outputs(x, y, sample_weight, training=False)
        return self.logs(loss, x, y, outputs, sample_weight)


class Retrieval(Contrastive):
    """Gives the score of each sample with each other in the batch."""

    def call(self, inputs, training=None):
        outputs = super().call(inputs)
        return tf.matmul(outputs, outputs, transpose_b=True)

    def loss_and_outputs(self, x, y, sample_weight, training=True):
        scores = self(x, training=training)
        losses = keras.losses.sparse_categorical_crossentropy(
            tf.range(tf.shape(x)[0]), scores, from_logits=True
        )
        return tf.reduce_mean(losses) / replica_count(), scores


class Momentum(Tracked):
    """Learns to give what a copy of itself gives, which follows it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.copied = keras.layers.Dense(5, activation="tanh")

    def call(self, inputs, training=None):
        self.copied(inputs)
        return self.hidden(inputs)

    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        learnt, following = (part.trainable_weights for part in (self.hidden, self.copied))
        with tf.GradientTape() as tape:
            loss, outputs = self.loss_and_outputs(x, y, sample_weight)
        self.optimizer.apply_gradients(zip(tape.gradient(loss, learnt), learnt, strict=True))
        for old, new in zip(following, learnt, strict=True):
            old.assign(0.9 * tf.convert_to_tensor(old) + 0.1 * tf.convert_to_tensor(new))
        return self.logs(loss, x, y, outputs, sample_weight)

    def loss_and_outputs(self, x, y, sample_weight, training=True):
        outputs = self(x, training=training)
        errors = outputs - tf.stop_gradient(self.copied(1.1 * x))
        return tf.reduce_mean(tf.square(errors)) / replica_count(), outputs

    def test_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        loss, outputs = self.loss_and_outputs(x, y, sample_weight, training=False)
        return self.logs(loss, x, y, outputs, sample_weight)


class LogsItsGradient(TwoLayers):
    """Logs the norm of its gradient, which is another for each replica."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = keras.metrics.Mean(name="gradient_norm")

    def move(self, gradients):
        super().move(gradients)
        self.norm.update_state(tf.linalg.global_norm(gradients))

    def logs(self, loss, x, y, outputs, sample_weight):
        logs = super().logs(loss, x, y, outputs, sample_weight)
        return {**logs, "gradient_norm": self.norm.result()}
