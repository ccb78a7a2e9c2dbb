"""The example that draws new digits."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("variational_autoencoder")]


def test_it_rebuilds_digits_from_latent_values_that_say_something(figures):
    history = figures["history"]
    assert history["val_reconstruction"][-1] < 21
    assert 2 < history["val_latent_kl"][-1] < 6


def test_the_divergence_joins_the_loss_at_full_weight_after_the_warm_up(example, figures):
    history = figures["history"]
    divergences = [
        (loss - reconstruction) / kl
        for loss, reconstruction, kl in zip(
            history["loss"], history["reconstruction"], history["latent_kl"], strict=True
        )
    ]
    assert 0 < divergences[0] < 1 / example.WARMUP_EPOCHS
    assert divergences[example.WARMUP_EPOCHS :] == pytest.approx(
        [1] * (example.EPOCHS - example.WARMUP_EPOCHS), abs=0.05
    )


def test_its_samples_are_digits_rather_than_those_of_a_gaussian(figures):
    real, samples, gaussian = (
        figures["judged"][name] for name in ("digits of the test", "samples", "Gaussian")
    )
    assert samples["agreement"] > 0.78
    assert samples["agreement"] > gaussian["agreement"] + 0.12
    assert samples["confidence"] > gaussian["confidence"] + 0.08
    assert real["distance"] * 0.8 < samples["distance"] < gaussian["distance"] - 0.3
    assert samples["rarest"] > 0.03


def test_it_writes_its_pictures(figures, output):
    assert {path.name for path in output.iterdir()} == {"vae_history.png", "vae_images.png"}
