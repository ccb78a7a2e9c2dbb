"""Checkpoints of something else are refused, and leave the model as it is; types of weights."""

import io

import numpy as np
import pytest
from tensorflow import keras

from tests.training.resuming import X, killed, network, newest, numbers, train


def foreign(kind):
    """The bytes of a file that is no checkpoint."""
    file = io.BytesIO()
    if kind == "npy":
        np.save(file, X)
    elif kind == "npz":
        np.savez(file, x=X)
    elif kind == "facts":
        np.savez(file, facts=np.frombuffer(b"{}", np.uint8))
    return file.getvalue()


def slow(*names):
    return [pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("kind", ["npy", "facts", *slow("nothing", "npz")])
def test_a_foreign_file_is_named_and_without_it_the_older_one_is_used(kind, tmp_path):
    undisturbed = train(network(), tmp_path / "undisturbed")
    killed(network, tmp_path / "killed")
    path = newest(tmp_path / "killed")
    path.write_bytes(foreign(kind))
    with pytest.raises(ValueError, match="damaged; remove it to go on from") as caught:
        train(network(), tmp_path / "killed")
    assert str(path) in str(caught.value)
    path.unlink()
    assert train(network(), tmp_path / "killed") == undisturbed


OTHERS = {
    "shape": lambda: network(units=6),
    "layer": lambda: network(lambda: keras.layers.Dense(5)),
    "optimizer": lambda: network(optimizer=lambda: keras.optimizers.SGD(0.01)),
    "momentum": lambda: network(optimizer=lambda: keras.optimizers.RMSprop(0.01)),
    "metric": lambda: network(metrics=["mae"]),
}


@pytest.mark.parametrize("other", ["shape", *slow("layer", "optimizer", "momentum", "metric")])
def test_a_checkpoint_of_another_model_changes_nothing(other, tmp_path):
    killed(network, tmp_path)
    model = OTHERS[other]()
    before = [value.tobytes() for value in model.get_weights()]
    with pytest.raises(ValueError, match="`model` must be the one that the checkpoint"):
        train(model, tmp_path)
    assert [value.tobytes() for value in model.get_weights()] == before


@pytest.mark.parametrize("types", [("float32", "bfloat16"), ("bfloat16", "float16")])
def test_a_checkpoint_of_another_type_changes_nothing(types, tmp_path):
    def make(dtype):
        keras.backend.clear_session()
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, dtype=dtype)])
        model.compile(keras.optimizers.SGD(0.01), "mse")
        return model

    killed(lambda: make(types[0]), tmp_path)
    model = make(types[1])
    before = [np.asarray(value).tobytes() for value in model.get_weights()]
    with pytest.raises(ValueError, match="`model` must be the one that the checkpoint"):
        train(model, tmp_path)
    assert [np.asarray(value).tobytes() for value in model.get_weights()] == before


def test_a_checkpoint_of_fewer_replicas_changes_nothing(two_replicas, tmp_path):
    killed(network, tmp_path)
    keras.backend.clear_session()
    with two_replicas.scope():
        model = network(fresh=False)
    before = [value.tobytes() for value in model.get_weights()]
    with pytest.raises(ValueError, match="on as many replicas"):
        train(model, tmp_path)
    assert [value.tobytes() for value in model.get_weights()] == before


@pytest.mark.parametrize(
    ("argument", "changed"),
    [
        ("`callbacks`", {"callbacks": lambda: [keras.callbacks.TerminateOnNaN()]}),
        ("`initial_epoch`", {"initial_epoch": 1}),
    ],
)
def test_a_checkpoint_of_another_run_changes_nothing(argument, changed, tmp_path):
    killed(network, tmp_path)
    model = network()
    before = [value.tobytes() for value in model.get_weights()]
    with pytest.raises(ValueError, match=f"{argument} must be") as caught:
        train(model, tmp_path, **changed)
    assert str(newest(tmp_path)) in str(caught.value)
    assert [value.tobytes() for value in model.get_weights()] == before


@pytest.mark.parametrize("callbacks", [list, lambda: [early_stopping()]], ids=["plain", "stopping"])
def test_weights_in_bfloat16_go_on(callbacks, tmp_path):
    """Also those that a callback remembers."""

    def make():
        return network(lambda: keras.layers.Dense(5, dtype="bfloat16"))

    undisturbed = train(make(), tmp_path / "undisturbed", callbacks=callbacks)
    killed(make, tmp_path / "killed", (2, 1), callbacks=callbacks)
    assert train(make(), tmp_path / "killed", callbacks=callbacks) == undisturbed


def early_stopping():
    return keras.callbacks.EarlyStopping(patience=2, min_delta=10.0, restore_best_weights=True)


def test_a_checkpoint_that_is_read_is_in_the_model(tmp_path):
    killed(network, tmp_path, (1, 1))
    with np.load(newest(tmp_path)) as file:
        kept = [value.tobytes() for name, value in file.items() if "kernel" in name]
    model = network()
    train(model, tmp_path, epochs=1)
    assert set(kept) <= set(numbers(model))
