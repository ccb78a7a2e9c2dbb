"""DistillationModel with sequences and their masks, and with several outputs."""

import numpy as np
import pytest
from tensorflow import keras

from tests.models.networks import SAMPLE_WEIGHT, X, compiled, fit
from tests.models.test_distillation import CLOSE, SPARSE, cross_entropy, divergence, softmax
from tfk_patterns.models import DistillationModel

_DRAWS = np.random.default_rng(3)
TOKENS = np.array([[1, 2, 3, 0, 0], [4, 0, 0, 0, 0], [2, 5, 1, 3, 4], [5, 5, 0, 0, 0]], "int32")
TAGS = _DRAWS.integers(0, 3, size=(4, 5))
TABLES = [_DRAWS.normal(size=(6, 3)).astype("float32") for _ in range(2)]
WEIGHTS = SAMPLE_WEIGHT[:20].reshape(4, 5)
CLASSES = {"low": 3, "high": 2}


def tagger(cls, table, masked=True, **arguments):
    """Logits of each token; the mask, if any, is that of tokens other than 0."""
    inputs = keras.Input((5,), dtype="int32")
    layer = keras.layers.Embedding(6, 3, mask_zero=masked)
    model = cls(inputs, layer(inputs), **arguments)
    model.set_weights([table])
    return model


@pytest.mark.parametrize(
    ("alpha", "weight"),
    [
        (0.0, None),
        (0.4, None),
        (0.0, WEIGHTS),
        (0.4, WEIGHTS),
        (0.0, WEIGHTS[:, 0]),  # of which the compiled losses of Keras 3 take none beside a mask
    ],
    ids=["divergence", "both", "steps_weighted", "both_steps_weighted", "samples_weighted"],
)
def test_masked_steps_do_not_count(alpha, weight):
    """The compiled loss is as Keras has it: its mean over the valid steps."""
    teacher = tagger(keras.Model, TABLES[0])
    own = {"teacher": teacher, "alpha": alpha, "temperature": 3.0}
    model = tagger(DistillationModel, TABLES[1], **own)
    compiled(model, loss=SPARSE(from_logits=True) if alpha else None)
    (loss,) = fit(model, TOKENS, TAGS, batch_size=4, sample_weight=weight)["loss"]
    valid = TOKENS > 0
    weights = np.ones((4, 5)) if weight is None else weight.reshape(4, -1) * np.ones((4, 5))
    weights = weights[valid]
    wanted, student = (table.astype("float64")[TOKENS][valid] for table in TABLES)
    expected = alpha * cross_entropy(student, TAGS[valid], weights)
    expected += (1 - alpha) * 9.0 * divergence(wanted, student, 3.0, weights)
    np.testing.assert_allclose(loss, expected, **CLOSE)


def two_outputs(cls, kernels, structure, **arguments):
    inputs = keras.Input((4,))
    low, high = (
        keras.layers.Dense(kernel.shape[1], use_bias=False, name=name)(inputs)
        for name, kernel in kernels.items()
    )
    outputs = {"low": low, "high": high} if structure is dict else structure([low, high])
    model = cls(inputs, outputs, **arguments)
    for name, kernel in kernels.items():
        model.get_layer(name).set_weights([kernel])
    return model


@pytest.mark.parametrize("structure", [dict, list])
def test_several_outputs_are_added(structure):
    """Each with its own classes; dicts go by their keys."""
    wanted, student = (
        {
            name: _DRAWS.normal(size=(4, n)).astype("float32")
            for name, n in (("low", 3), ("high", 2))
        }
        for _ in range(2)
    )
    labels = {name: _DRAWS.integers(0, n, size=24) for name, n in CLASSES.items()}
    teacher = two_outputs(keras.Model, wanted, structure)
    model = two_outputs(DistillationModel, student, structure, teacher=teacher, alpha=0.4)
    loss = {name: SPARSE(from_logits=True) for name in labels}
    targets = labels
    if structure is list:
        loss, targets = list(loss.values()), list(labels.values())
    compiled(model, loss=loss)
    history = fit(model, y=targets, batch_size=24)
    expected = 0.0
    for name, kernel in wanted.items():
        teacher_logits, logits = X @ kernel.astype("float64"), X @ student[name].astype("float64")
        target_loss = cross_entropy(logits, labels[name], 1.0)
        np.testing.assert_allclose(history[f"{name}_loss"], [target_loss], **CLOSE)
        expected += 0.4 * target_loss + 0.6 * 4.0 * divergence(teacher_logits, logits, 2.0, 1.0)
    np.testing.assert_allclose(history["loss"], [expected], **CLOSE)


def test_certain_probabilities_are_finite():
    """Teacher and student with probabilities of 0 and 1 to float32."""

    def certain(cls, sign, **arguments):
        inputs = keras.Input((4,))
        outputs = keras.layers.Dense(2, "softmax", use_bias=False)(inputs)
        model = cls(inputs, outputs, **arguments)
        model.set_weights([sign * 1e3 * np.eye(4, 2, dtype="float32")])
        return model

    teacher = certain(keras.Model, 1)
    model = certain(DistillationModel, -1, teacher=teacher, from_logits=False, alpha=0.0)
    history = fit(compiled(model, loss=None), y=None, batch_size=24)
    assert 0 < history["loss"][0] < np.inf
    assert np.isfinite(model.get_weights()[0]).all()
    assert softmax(np.array([[1e3, 0.0]]))[0, 1] == 0.0
