"""Writes this release's golden files: run `python -m tests.golden.make` once on each leg.

It writes no file again: that old ones load is what the test is for.
"""

from pathlib import Path

import numpy as np
from tensorflow import keras

import tfk_patterns
from tfk_patterns import _keras, layers, models

FOLDER = Path(__file__).parent


def build_model():
    """Every layer of the release, with arguments that are not the defaults."""
    inputs = keras.Input((None, 4), name="steps")
    parents = keras.Input((None,), dtype="int32", name="parents")
    x = keras.layers.Masking(mask_value=-1.0)(inputs)
    x = layers.RunningStandardizer(momentum=0.9)(x)
    x = layers.MaskedConv1D(
        5, 2, strides=1, padding="causal", dilation_rate=2, activation="tanh", renormalize=True
    )(x)
    x = layers.MaskedConv1D(6, 3, use_bias=False, kernel_regularizer="l2")(x)
    x = layers.MaskedSequenceNormalization(epsilon=0.01)(x)
    x = layers.MLP(
        [6, 6],
        activation="tanh",
        final_activation="sigmoid",
        normalization="batch",
        dropout=0.2,
        residual=True,
        seed=3,
    )(x)
    x = layers.TreeLSTM(6, return_nodes=True, dynamic=False)([x, parents])
    x = keras.layers.Dense(6, activation="sigmoid")(x)
    x = layers.ActivationMonitor(name="monitor")(x)
    x = layers.L1L2ActivityRegularization(l1=0.1, l2=0.2, weight=0.5, warmup_steps=4)(x)
    x = layers.SparsityActivityRegularization(target=0.2, weight=0.3)(x)
    x = layers.DecorrelationActivityRegularization(weight=0.4)(x)
    x = layers.TemporalActivityRegularization(weight=0.7)(x)
    x = layers.BatchNormDropout(
        "tanh", rate=0.25, momentum=0.8, epsilon=1e-4, center=False, synchronized=True, seed=5
    )(x)
    pooled = [
        layers.MaskedPooling1D(pooling, keepdims=False, name=f"pooled_{pooling}")(x)
        for pooling in ("mean", "max", "min", "sum", "first", "last")
    ]
    pooled.append(layers.MaskedAttentionPooling1D(3)(x))
    pooled.append(layers.TreeLSTM(3, dynamic="island")([x, parents]))
    x = keras.layers.Concatenate()(pooled)
    x = layers.GaussianSampling(kl_weight=0.1, free_bits=0.2, warmup_steps=2, seed=1)(
        [keras.layers.Dense(4)(x), keras.layers.Dense(4)(x)]
    )
    x = layers.MLP([5, 3], normalization="layer", input_dim=4)(x)
    outputs = keras.layers.Dense(2)(x)
    outputs = layers.PredictionEndpoint("mse", ["mae"])(outputs)
    return keras.Model([inputs, parents], outputs)


def example_inputs():
    """Sequences of three lengths, the rest masked, and the trees of their steps."""
    inputs = np.sin(np.arange(3 * 5 * 4, dtype="float32")).reshape(3, 5, 4)
    inputs[1, 3:] = inputs[2, 1:] = -1.0
    return [inputs, np.tile(np.array([[-1, 0, 0, 1, 2]], "int32"), (3, 1))]


def build_trained_models():
    """Every model of the release, by name, with arguments that are not the defaults."""

    def network():
        inputs = keras.Input((4,), name="features")
        hidden = keras.layers.Dense(5, activation="tanh")(inputs)
        return inputs, keras.layers.Dense(2)(hidden)

    teacher = keras.Model(*network())
    return {
        "train_step": models.TrainStepModel(*network()),
        "sharpness_aware": models.SharpnessAwareModel(*network(), rho=0.2, adaptive=True),
        "gradient_accumulation": models.GradientAccumulationModel(
            [keras.Input((4,)), keras.layers.Dense(2)], steps=3, last_group="carry"
        ),
        "distillation": models.DistillationModel(
            *network(), teacher=teacher, temperature=3.0, alpha=0.25
        ),
    }


def features():
    """Inputs of those models."""
    return np.sin(np.arange(8 * 4, dtype="float32")).reshape(8, 4)


def save_trained(model, inputs, targets, stem):
    """Trains a model, and writes it, what it predicts and its loss, unless that was done."""
    if stem.with_suffix(".keras").exists():
        return
    model.compile(keras.optimizers.SGD(0.1, momentum=0.5), "mse")
    # Four batches of the models' data: groups of three are left incomplete.
    model.fit(inputs, targets, batch_size=4, epochs=2, shuffle=False, verbose=0)
    model.save(stem.with_suffix(".keras"))
    np.savez(
        stem.with_suffix(".npz"),
        predictions=model.predict(inputs, verbose=0),
        loss=model.evaluate(inputs, targets, verbose=0),
    )


def main():
    folder = FOLDER / tfk_patterns.__version__
    folder.mkdir(exist_ok=True)
    generation = f"keras{_keras.GENERATION}"
    save_trained(build_model(), example_inputs(), np.ones((3, 2), "float32"), folder / generation)
    for name, model in build_trained_models().items():
        targets = np.ones((8, 2), "float32")
        save_trained(model, features(), targets, folder / f"{name}-{generation}")


if __name__ == "__main__":
    main()
