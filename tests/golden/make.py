"""Writes this release's golden files: run `python -m tests.golden.make` once on each leg.

Never write the files of an earlier release again: that they load is what the test is for.
"""

from pathlib import Path

import numpy as np
from tensorflow import keras

import tfk_patterns
from tfk_patterns import _keras, layers

FOLDER = Path(__file__).parent


def build_model():
    """Every layer of the release, with arguments that are not the defaults."""
    inputs = keras.Input((None, 4), name="steps")
    x = keras.layers.Masking(mask_value=-1.0)(inputs)
    x = keras.layers.Dense(6, activation="sigmoid")(x)
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
    outputs = keras.layers.Dense(2)(keras.layers.Concatenate()(pooled))
    return keras.Model(inputs, outputs)


def example_inputs():
    """Sequences of three lengths, the rest masked."""
    inputs = np.sin(np.arange(3 * 5 * 4, dtype="float32")).reshape(3, 5, 4)
    inputs[1, 3:] = inputs[2, 1:] = -1.0
    return inputs


def main():
    folder = FOLDER / tfk_patterns.__version__
    folder.mkdir(exist_ok=True)
    model, inputs = build_model(), example_inputs()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(inputs, np.ones((3, 2), "float32"), epochs=3, verbose=0)
    name = f"keras{_keras.GENERATION}"
    model.save(folder / f"{name}.keras")
    np.savez(
        folder / f"{name}.npz",
        predictions=model.predict(inputs, verbose=0),
        loss=model.evaluate(inputs, np.ones((3, 2), "float32"), verbose=0),
    )


if __name__ == "__main__":
    main()
