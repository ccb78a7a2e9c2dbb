"""The example of a code that is sparse and decorrelated."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sparse_autoencoder")]


def test_the_regularisers_make_the_code_sparse_and_decorrelated(example, figures):
    plain, sparse = figures["found"][example.PLAIN], figures["found"][example.SPARSE]
    assert sparse["mean"] < 0.25 < 0.4 < plain["mean"]
    assert sparse["correlation"] < 0.85 * plain["correlation"]


def test_both_rebuild_the_digits_if_not_as_well_as_pca(example, figures):
    plain, sparse = figures["found"][example.PLAIN], figures["found"][example.SPARSE]
    assert figures["pca_error"] < plain["error"] < 0.01
    assert figures["pca_error"] < sparse["error"] < 0.012
    assert sparse["error"] < figures["mean_error"] / 5


def test_the_monitor_shows_dead_units(example, figures):
    found = figures["found"]
    assert found[example.UNNORMALISED]["dead"] > 30
    assert found[example.SPARSE]["dead"] == found[example.PLAIN]["dead"] == 0


def test_it_writes_its_pictures(figures, output):
    assert {path.name for path in output.iterdir()} == {"sparse_history.png", "sparse_images.png"}
