"""Evaluation and prediction that train, and batch methods that do something else."""

from tensorflow import keras

from tests.parity.broken_models import Tracked, TwoLayers, broken
from tests.parity.broken_models.losses import MeanSquare


class Normalized(TwoLayers):
    """Right: dropout and batch normalisation between the layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = keras.layers.BatchNormalization()

    def call(self, inputs, training=None):
        return self.out(self.norm(self.hidden(inputs), training=training))


class EvaluatesInTraining(Normalized):
    """Copies `training=True` from `train_step` into `test_step`."""

    def test_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        loss, outputs = self.loss_and_outputs(x, y, sample_weight)
        return self.logs(loss, x, y, outputs, sample_weight)


class PredictsInTraining(Normalized):
    """Keeps the layers in training to have many predictions, and moves their statistics."""

    def predict_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self(x, training=True)


class EvaluatesLastBatch(TwoLayers):
    """Returns the loss of the batch, so that the last one stands for all."""

    def test_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        loss = self.compute_loss(x, y, self(x, training=False), sample_weight)
        return {"loss": loss, "last": loss}


class EvaluatesNothing(Tracked):
    """Keeps the loss of training in a metric that Keras' own `test_step` leaves at zero."""

    def test_step(self, data):
        return keras.Model.test_step(self, data)


class HasNoTestStep(MeanSquare):
    """Computes its loss in `train_step` alone, and is compiled without one."""

    def test_step(self, data):
        return keras.Model.test_step(self, data)


class UnpacksTwo(TwoLayers):
    """Expects two arrays, where Keras hands on a `None` for the sample weights."""

    def train_step(self, data):
        x, y = data[0], data[1]
        if len(data) > 2:
            raise ValueError("expected (x, y)")
        return super().train_step((x, y))


class ReturnsNoLogs(TwoLayers):
    """Overrides `train_on_batch` to skip what it takes for bookkeeping."""

    def train_on_batch(self, x, y=None, sample_weight=None, return_dict=False, **kwargs):
        logs = super().train_on_batch(x, y, sample_weight, return_dict=True, **kwargs)
        return {"step_loss": logs["loss"]}


BROKEN = [
    broken(
        "evaluate_predict", EvaluatesInTraining, "`evaluate` calls the model with training=True"
    ),
    broken("evaluate_predict", PredictsInTraining, "`predict` calls the model with training=True"),
    broken("evaluate_predict", EvaluatesLastBatch, "where its batches alone have the mean"),
    broken("evaluate_predict", EvaluatesNothing, "`evaluate` says that `loss` is 0"),
    broken("evaluate_predict", HasNoTestStep, "its metric is not updated", loss=None),
    broken("batch_methods", UnpacksTwo, "`train_on_batch` raised", generations=(3,)),
    broken("batch_methods", ReturnsNoLogs, "gives no loss"),
    broken(
        "batch_methods",
        UnpacksTwo,
        "`train_on_batch` raised",
        generations=(3,),
        name="UnpacksTwoOfMergedSteps",
        steps_per_execution=2,
    ),
]
