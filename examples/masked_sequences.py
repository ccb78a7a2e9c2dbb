"""Reads names of characters letter by letter; how far they are padded changes no answer.

Run it with `python examples/masked_sequences.py`; it writes into `examples/output/`.

The data are the names in Python's `unicodedata` (no download), such as GREEK SMALL LETTER ALPHA.
The model tells a character's general category (Ll, a small letter) from its name, as a sequence
of letters: `Embedding(mask_zero=True)`, two `MaskedConv1D` and a `MaskedAttentionPooling1D`.
Left out are names that hold nothing but a kind and the code point or the sound (CJK UNIFIED
IDEOGRAPH-4E00, HANGUL SYLLABLE GA), which are thousands, and the few of over 60 letters. Names of
one script are much alike: of those that share their first word at most 30 are taken, and all are
in training or all in the test.

Names are padded with zeros to one length. The model without masks has the same layers and the same
weights to begin with, but takes the padding for letters. It may be as accurate, since it learns
what padding looks like: which of the two is ahead differs from split to split. But its answers
depend on how far a name happens to be padded.
"""

import collections
import os
import pathlib
import time
import unicodedata

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # only errors from TensorFlow's C++ side
os.environ.setdefault("MPLBACKEND", "Agg")

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table
from tensorflow import keras

from tfk_patterns import layers

OUTPUT = pathlib.Path(__file__).parent / "output"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -"  # 0 is padding
LARGEST_GROUP = 30
LONGEST_NAME = 60
KERNEL_SIZE = 5
BLOCKS = 2
# A step of a MaskedConv1D is valid when its window holds a letter, so that each block adds up to
# two valid steps after the name. There must be room for them, else they are cut off.
ROOM = BLOCKS * (KERNEL_SIZE // 2)
EXTRA = (0, 20, 200)  # more padding at test time, in steps
EPOCHS = 5
SEED = 1
COLUMNS = ("{task.description}", BarColumn(), MofNCompleteColumn(), "epochs", TimeElapsedColumn())

console = Console(width=None if Console().is_terminal else 100)


def load():
    """Names and categories, to train on and to test on, by the first word of the name."""
    groups = collections.defaultdict(list)
    for character in map(chr, range(0x110000)):
        name = unicodedata.name(character, "")
        told = name.endswith(f"-{ord(character):04X}") or name.startswith("HANGUL SYLLABLE ")
        if 0 < len(name) <= LONGEST_NAME and not told:
            groups[name.split()[0]].append((name, unicodedata.category(character)))
    random = np.random.default_rng(SEED)
    train, test = [], []
    for word in sorted(groups):
        part = test if random.random() < 0.2 else train
        order = random.permutation(len(groups[word]))[:LARGEST_GROUP]
        part.extend(groups[word][place] for place in order)
    return zip(*train, strict=True), zip(*test, strict=True)


def encode(names, width):
    """The letters as integers, `(names, width)`, with zeros after the end of each name."""
    numbers = np.zeros((len(names), width), "int32")
    for row, name in zip(numbers, names, strict=True):
        row[: len(name)] = [LETTERS.index(letter) + 1 for letter in name]
    return numbers


def make_model(masked, categories):
    """The classifier, and a model with its weights that gives the weight of each step."""
    keras.utils.set_random_seed(SEED)
    inputs = keras.Input((None,), dtype="int32", name="letters")
    x = keras.layers.Embedding(len(LETTERS) + 1, 24, mask_zero=masked, name="embedding")(inputs)
    for block in range(BLOCKS):
        x = layers.MaskedConv1D(64, KERNEL_SIZE, activation="relu", name=f"conv_{block}")(x)
    pooling = layers.MaskedAttentionPooling1D(32, name="attention")
    x, weights = pooling(x, return_attention_scores=True)
    outputs = keras.layers.Dense(categories, activation="softmax", name="category")(x)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(5e-3), loss="sparse_categorical_crossentropy", jit_compile=False
    )
    return model, keras.Model(inputs, weights)


def train(model, letters, labels, title):
    """Trains a model, with a progress bar."""
    with Progress(*COLUMNS, console=console) as progress:
        task = progress.add_task(f"{title:<13}", total=EPOCHS)
        bar = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: progress.advance(task))
        model.fit(letters, labels, batch_size=128, epochs=EPOCHS, verbose=0, callbacks=[bar])


def test(model, letters, labels):
    """For each padding: accuracy, largest change of a probability, and answers that changed."""
    found, first = {}, None
    for extra in EXTRA:
        padded = np.pad(letters, ((0, 0), (0, extra)))
        probabilities = model.predict(padded, batch_size=256, verbose=0)
        first = probabilities if first is None else first
        found[extra] = {
            "accuracy": float(np.mean(probabilities.argmax(1) == labels)),
            "largest": float(np.max(np.abs(probabilities - first))),
            "changed": int(np.sum(probabilities.argmax(1) != first.argmax(1))),
        }
    return found


def draw(names, weights, answers, truths):
    """Draws the names, each letter on the darker ground the more weight it has."""
    steps = max(map(len, names)) + ROOM
    figure, axes = plt.subplots(figsize=(11, 6.5), layout="constrained")
    shown = np.array([row[:steps] / row.max() for row in weights])
    for row, (name, answer, truth) in enumerate(zip(names, answers, truths, strict=True)):
        shown[row, len(name) + ROOM :] = np.nan
        said = answer if answer == truth else f"{answer}, is {truth}"
        axes.text(-1, row, said, ha="right", va="center")
        for step, letter in enumerate(name + "·" * ROOM):
            colour = "white" if shown[row, step] > 0.6 else "black"
            axes.text(step, row, letter, color=colour, ha="center", va="center")
    axes.imshow(shown, cmap="Blues", aspect="auto", vmin=0, vmax=1)
    axes.axis("off")
    axes.set_title(
        "Where the attention is in names of the test; each name's most is darkest\n"
        "(on the left the answer; a dot is a step after the name's end that counts)"
    )
    figure.savefig(OUTPUT / "masked_sequences.png", dpi=120)
    plt.close(figure)


def main():
    """Runs all of it and returns the figures it prints."""
    start = time.perf_counter()
    OUTPUT.mkdir(exist_ok=True)
    (train_names, train_truths), (names, truths) = load()
    width = LONGEST_NAME + ROOM
    categories = sorted({*train_truths, *truths})
    letters = encode(train_names, width)
    labels = np.array([categories.index(category) for category in train_truths])
    test_letters = encode(names, width)
    test_labels = np.array([categories.index(category) for category in truths])
    commonest = np.bincount(test_labels).argmax()
    majority = float(np.mean(test_labels == commonest))
    console.print(
        f"Unicode {unicodedata.unidata_version}: {len(letters)} names to train on and "
        f"{len(names)} to test on, with no first word in common.\nThey have up to "
        f"{LONGEST_NAME} letters, padded to {width}. {len(categories)} categories.\n"
    )

    found = {}
    for title, masked in (("without masks", False), ("with masks", True)):
        model, attention = make_model(masked, len(categories))
        train(model, letters, labels, title)
        found[title] = test(model, test_letters, test_labels)

    console.print()
    table = Table(title="The same test names, padded further", title_justify="left")
    table.add_column("")
    for heading in ("steps", "accuracy", "largest change of a probability", "other answers"):
        table.add_column(heading, justify="right")
    for title, rows in found.items():
        for extra, row in rows.items():
            figures = (f"{row['accuracy']:.3f}", f"{row['largest']:g}", f"{row['changed']}")
            table.add_row(title, str(width + extra), *figures, end_section=extra == EXTRA[-1])
    table.add_row(f"always {categories[commonest]}", "", f"{majority:.3f}", "", "")
    console.print(table, "")

    lengths = np.array([len(name) for name in names])
    some = np.flatnonzero((lengths > 15) & (lengths < 45))
    some = np.random.default_rng(SEED).choice(some, 14, replace=False)
    some = some[np.argsort(lengths[some])]
    weights = attention.predict(test_letters[some], verbose=0)
    answers = [categories[k] for k in model.predict(test_letters[some], verbose=0).argmax(1)]
    draw([names[k] for k in some], weights, answers, [truths[k] for k in some])

    masked, unmasked = (found[title] for title in ("with masks", "without masks"))
    console.rule("Summary")
    console.print(
        f"Accuracy {masked[0]['accuracy']:.3f} with masks, {unmasked[0]['accuracy']:.3f} without, "
        f"{majority:.3f} for always {categories[commonest]}.\nWith more padding the largest change "
        f"of a probability is {max(row['largest'] for row in masked.values()):g} with masks and "
        f"{max(row['largest'] for row in unmasked.values()):.2f} without;\nwithout, "
        f"{unmasked[EXTRA[-1]]['changed']} of {len(names)} names get another answer.\n"
        f"In {os.path.relpath(OUTPUT)}: masked_sequences.png. "
        f"Took {time.perf_counter() - start:.0f} s."
    )
    return {"found": found, "majority": majority, "names": len(names)}


if __name__ == "__main__":
    main()
