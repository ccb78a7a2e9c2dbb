"""The example that reads names of different lengths."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("masked_sequences")]


def test_no_first_word_is_in_training_and_test(example):
    (train_names, _), (test_names, _) = example.load()
    train_words, test_words = (
        {name.split()[0] for name in part} for part in (train_names, test_names)
    )
    assert not train_words & test_words


def test_it_tells_categories_from_names(figures):
    assert figures["found"]["with masks"][0]["accuracy"] > 0.68
    assert figures["found"]["with masks"][0]["accuracy"] > figures["majority"] + 0.25


def test_padding_changes_no_answer_with_masks(example, figures):
    rows = figures["found"]["with masks"]
    assert set(rows) == set(example.EXTRA)
    assert all(row["largest"] == 0 and row["changed"] == 0 for row in rows.values())
    assert len({row["accuracy"] for row in rows.values()}) == 1


def test_padding_changes_answers_without_masks(example, figures):
    most = figures["found"]["without masks"][example.EXTRA[-1]]
    assert most["largest"] > 0.1
    assert most["changed"] > 10


def test_it_writes_its_picture(figures, output):
    assert {path.name for path in output.iterdir()} == {"masked_sequences.png"}
