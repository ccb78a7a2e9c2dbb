"""The activity regularisers against the oracle: values, gradients, masks, batches, warm-up."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.layers import oracles
from tests.layers.cases import MASK, PROBABILITIES, STEPS, VECTORS, MeanSquare
from tfk_patterns import layers

CLOSE = {"rtol": 1e-5, "atol": 1e-6}  # float32 sums of tens of terms

# layer, its oracle, inputs it is meant for
PENALTIES = {
    "l1l2": (
        lambda **kw: layers.L1L2ActivityRegularization(l1=0.3, l2=0.2, **kw),
        lambda x, mask: oracles.l1l2(x, mask, 0.3, 0.2),
        STEPS,
    ),
    "sparsity": (
        lambda **kw: layers.SparsityActivityRegularization(target=0.1, **kw),
        lambda x, mask: oracles.sparsity(x, mask, 0.1),
        PROBABILITIES,
    ),
    "decorrelation": (layers.DecorrelationActivityRegularization, oracles.decorrelation, STEPS),
    "temporal": (layers.TemporalActivityRegularization, oracles.temporal, STEPS),
}
each_penalty = pytest.mark.parametrize(
    ("make", "oracle", "inputs"), PENALTIES.values(), ids=PENALTIES.keys()
)
each_mask = pytest.mark.parametrize("mask", [None, MASK], ids=["unmasked", "masked"])


def loss_of(layer, inputs, mask=None, training=False):
    outputs = layer(tf.constant(inputs), mask=mask, training=training)
    assert np.array_equal(outputs, inputs, equal_nan=True)
    (loss,) = layer.losses
    return loss


@each_penalty
@each_mask
def test_values(make, oracle, inputs, mask):
    loss = loss_of(make(weight=0.7), inputs, mask)
    assert loss.dtype == tf.float32
    assert loss.shape == ()
    np.testing.assert_allclose(loss, 0.7 * oracle(inputs, mask), **CLOSE)


@each_penalty
@each_mask
def test_gradients(make, oracle, inputs, mask):
    layer, tensor = make(dtype="float64"), tf.constant(inputs, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        layer(tensor, mask=mask)
        (loss,) = layer.losses
    expected = oracles.numeric_gradient(lambda x: oracle(x, mask), inputs)
    np.testing.assert_allclose(tape.gradient(loss, tensor), expected, rtol=1e-5, atol=1e-8)


@each_penalty
@each_mask
def test_a_tiled_batch_has_the_same_penalty(make, oracle, inputs, mask):
    tiled = np.concatenate([inputs] * 3)
    tiled_mask = None if mask is None else np.concatenate([mask] * 3)
    layer = make()
    np.testing.assert_allclose(
        loss_of(layer, tiled, tiled_mask), loss_of(layer, inputs, mask), **CLOSE
    )


@each_penalty
def test_an_empty_batch_adds_zero(make, oracle, inputs):
    layer, empty = make(), tf.constant(inputs[:0])
    with tf.GradientTape() as tape:
        tape.watch(empty)
        layer(empty)
        loss = layer.losses[0]
    assert float(loss) == 0.0
    assert tape.gradient(loss, empty).shape == empty.shape
    assert float(loss_of(layer, inputs, np.zeros_like(MASK))) == 0.0


@each_penalty
@pytest.mark.parametrize("rubbish", [1e30, np.inf, np.nan])
def test_what_stands_in_the_padding_does_not_matter(make, oracle, inputs, rubbish):
    layer, dirty = make(), np.where(MASK[..., np.newaxis], inputs, np.float32(rubbish))
    tensor = tf.constant(dirty)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        layer(tensor, mask=MASK)
        loss = layer.losses[0]
    np.testing.assert_allclose(loss, oracle(inputs, MASK), **CLOSE)
    gradient = tape.gradient(loss, tensor).numpy()
    assert np.isfinite(gradient).all()
    assert not gradient[~MASK].any()


@each_penalty
def test_masks_are_passed_on(make, oracle, inputs):
    sequence = keras.Input((None, 3))
    masked = keras.layers.Masking(mask_value=0.0)(sequence)
    pooled = layers.MaskedPooling1D("sum")(make()(masked))
    cut = np.where(MASK[..., np.newaxis], inputs, np.float32(0.0))
    outputs = keras.Model(sequence, pooled)(cut)
    np.testing.assert_allclose(outputs, oracles.pooled(inputs, MASK, "sum"), **CLOSE)


def test_l1l2_is_what_keras_adds_where_keras_divides_by_the_batch():
    expected = (np.abs(VECTORS).sum() * 0.1 + (VECTORS.astype("float64") ** 2).sum()) / 6
    layer = layers.L1L2ActivityRegularization(l1=0.1, l2=1.0)
    np.testing.assert_allclose(loss_of(layer, VECTORS), expected, **CLOSE)


def test_temporal_without_a_mask_is_the_mean_of_the_authors():
    differences = STEPS[:, 1:].astype("float64") - STEPS[:, :-1]
    layer = layers.TemporalActivityRegularization()
    np.testing.assert_allclose(loss_of(layer, STEPS), (differences**2).mean(), **CLOSE)


@pytest.mark.parametrize("inputs", [np.zeros((4, 2)), np.ones((4, 2))])
def test_sparsity_is_finite_at_the_ends(inputs):
    layer, tensor = layers.SparsityActivityRegularization(), tf.constant(inputs, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        layer(tensor)
        loss = layer.losses[0]
    assert np.isfinite(loss)
    assert np.isfinite(tape.gradient(loss, tensor)).all()


def test_decorrelation_of_one_large_unit_among_small_ones():
    inputs = np.random.default_rng(0).normal(size=(256, 64)) * 0.1
    inputs[:, 0] *= 1000
    layer = layers.DecorrelationActivityRegularization()
    layer(tf.constant(inputs, tf.float32))
    np.testing.assert_allclose(layer.losses[0], oracles.decorrelation(inputs, None), rtol=1e-4)
    single = layers.DecorrelationActivityRegularization()
    single(tf.constant(inputs[:, :1], tf.float32))
    assert float(single.losses[0]) == 0.0


def test_a_penalty_that_is_no_scalar_is_refused():
    class PerSample(layers.BaseActivityRegularization):
        def penalty(self, inputs, mask):
            return tf.reduce_sum(inputs, axis=-1)

    with pytest.raises(ValueError, match=r"must return one scalar.*Received: a tensor of shape"):
        PerSample()(tf.ones((3, 2)))


def test_a_penalty_may_be_a_number_but_not_nothing():
    class Constant(layers.BaseActivityRegularization):
        def penalty(self, inputs, mask):
            return value

    value, layer = 2.0, Constant(weight=3.0)
    layer(tf.ones((3, 2)))
    assert float(layer.losses[0]) == 6.0
    value = None
    with pytest.raises(TypeError, match=r"`penalty` of Constant must .* Received: None"):
        Constant()(tf.ones((3, 2)))


def test_a_subclass_without_a_penalty_says_so():
    class Nothing(layers.BaseActivityRegularization):
        pass

    with pytest.raises(NotImplementedError, match="Nothing must implement penalty"):
        Nothing()(tf.ones((3, 2)))


def test_the_weight_ramps_up_over_training_steps():
    layer, inputs = MeanSquare(weight=2.0, warmup_steps=4), np.ones((3, 2), "float32")
    assert float(loss_of(layer, inputs)) == 0.0
    expected = [1.0, 2.0, 3.0, 4.0, 4.0, 4.0]
    for step, value in enumerate(expected):
        assert float(loss_of(layer, inputs, training=True)) == value, step
        assert float(loss_of(layer, inputs)) == value, step
    assert [tuple(w.shape) for w in layer.non_trainable_weights] == [()]


def ramped_model(**arguments):
    inputs = keras.Input((2,))
    outputs = keras.layers.Dense(1, kernel_initializer="zeros")(MeanSquare(**arguments)(inputs))
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_fit_ramps_and_evaluate_uses_the_current_weight(run_eagerly):
    model = ramped_model(weight=1.0, warmup_steps=4)
    model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=run_eagerly)
    inputs, targets = np.ones((4, 2), "float32"), np.zeros((4, 1), "float32")
    data = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(2)
    history = model.fit(data, validation_data=data, epochs=3, shuffle=False, verbose=0).history
    # A batch adds 2; two steps an epoch: (1/4 + 2/4) / 2, (3/4 + 1) / 2, 1.
    np.testing.assert_allclose(history["loss"], [0.75, 1.75, 2.0], **CLOSE)
    np.testing.assert_allclose(history["val_loss"], [1.0, 2.0, 2.0], **CLOSE)


def test_the_ramp_counts_once_a_step_under_two_replicas(two_replicas):
    with two_replicas.scope():
        model = ramped_model(weight=1.0, warmup_steps=8)
        model.compile(keras.optimizers.SGD(0.0), "mse")
    inputs, targets = np.ones((8, 2), "float32"), np.zeros((8, 1), "float32")
    data = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(4)
    model.fit(data, epochs=3, shuffle=False, verbose=0)
    assert tf.convert_to_tensor(model.layers[1].step).numpy() == 6


@pytest.mark.parametrize("name", ["l1l2", "sparsity", "decorrelation"])
def test_two_replicas_add_what_one_device_adds(name, two_replicas):
    """Value and gradients, on the same global batch: batch statistics are of all replicas."""
    make, oracle, inputs = PENALTIES[name]
    batch = inputs[:, 0]
    with two_replicas.scope():
        layer = make()
        layer.build((None, 3))

    @tf.function
    def step(replica_inputs):
        with tf.GradientTape() as tape:
            tape.watch(replica_inputs)
            layer(replica_inputs, training=True)
            loss = layer.losses[0] / 2.0  # as Keras scales it for two replicas
        return loss, tape.gradient(loss, replica_inputs)

    shares = two_replicas.experimental_distribute_values_from_function(
        lambda context: tf.constant(np.split(batch, 2)[context.replica_id_in_sync_group])
    )
    losses, gradients = two_replicas.run(step, args=(shares,))
    total = sum(float(loss) for loss in two_replicas.experimental_local_results(losses))
    np.testing.assert_allclose(total, oracle(batch, None), **CLOSE)
    np.testing.assert_allclose(
        np.concatenate(two_replicas.experimental_local_results(gradients)),
        oracles.numeric_gradient(lambda x: oracle(x, None), batch),
        rtol=1e-4,
        atol=1e-6,
    )
