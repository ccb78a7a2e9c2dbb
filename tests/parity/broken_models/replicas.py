"""Training that is another on two devices."""

import tensorflow as tf

from tests.parity.broken_models import TwoLayers, broken, replica_count
from tests.parity.broken_models.losses import MeanSquare


class AveragesOverItsShare(MeanSquare):
    """Divides by the samples that a replica sees, so that the sum over replicas is doubled."""

    def mean(self, errors, sample_weight):
        return super().mean(errors, sample_weight) * replica_count()

    def logs(self, loss, x, y, outputs, sample_weight):
        return super().logs(loss / replica_count(), x, y, outputs, sample_weight)


class LogsItsShare(TwoLayers):
    """Logs what `compute_loss` gives, which Keras 3 has divided by the replicas."""

    def logs(self, loss, x, y, outputs, sample_weight):
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=tf.shape(x)[0])
        return self.compute_metrics(x, y, outputs, sample_weight)


class SumsOverReplicas(TwoLayers):
    """Sums the gradients over the replicas by hand, as the optimizer does once more."""

    def move(self, gradients):
        context = tf.distribute.get_replica_context()
        super().move(context.all_reduce("SUM", gradients) if context else gradients)


class PenaltyOnEachReplica(MeanSquare):
    """Divides the errors by the samples of the whole batch, and adds the penalty as it is."""

    def mean(self, errors, sample_weight):
        if sample_weight is not None:
            errors *= tf.reshape(sample_weight, [-1])
        return tf.nn.compute_average_loss(errors, global_batch_size=4)

    def added(self):
        return sum(self.losses)


class LogsOneReplica(TwoLayers):
    """Logs a tensor, which is of the samples that one replica has seen."""

    def logs(self, loss, x, y, outputs, sample_weight):
        rmse = tf.sqrt(tf.reduce_mean(tf.square(outputs - y)))
        return {**super().logs(loss, x, y, outputs, sample_weight), "rmse": rmse}


BROKEN = [
    broken("replicas", PenaltyOnEachReplica, "on two replicas where one device gives"),
    broken("replicas", LogsOneReplica, "history['rmse']"),
    broken("replicas", AveragesOverItsShare, "on two replicas where one device gives"),
    broken("replicas", LogsItsShare, "history['loss']", generations=(3,)),
    broken("replicas", SumsOverReplicas, "on two replicas where one device gives"),
]
